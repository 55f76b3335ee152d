# frozen_string_literal: true

require_relative "../../rakelib/lib/release_check"

# `rake release:build` and `rake release:check`, as far as they need no other build.
RSpec.describe "Release:" do
  around { |example| Dir.mktmpdir { |dir| (@dir = dir) && example.run } }

  let(:files) { ReleaseFiles.new(@dir) }

  describe "bill of materials" do
    bom = JSON.parse(Sbom.text(Time.at(0)))
    components = bom["components"].to_h { |component| [component["bom-ref"], component] }

    it "names the format, the product and the time of the commit" do
      expect(bom).to include("bomFormat" => "CycloneDX", "specVersion" => "1.5", "version" => 1)
      expect(bom["serialNumber"]).to match(/\Aurn:uuid:\h{8}-\h{4}-8\h{3}-8\h{3}-\h{12}\z/)
      expect(bom["metadata"]).to include("timestamp" => "1970-01-01T00:00:00Z")
      expect(bom.dig("metadata", "component")).to include("name" => "proxymachine", "version" => NativeGem.version)
    end

    it "has each linked crate with its licence and the checksum of Cargo.lock, and each gem of the gemspec" do
      tokio = components.values.find { |component| component["name"] == "tokio" }
      lock = File.read("#{ProxyProcess::ROOT}/Cargo.lock")
      expect(tokio["purl"]).to eq "pkg:cargo/tokio@#{tokio["version"]}"
      expect(lock).to include(%(name = "tokio"\nversion = "#{tokio["version"]}"), tokio.dig("hashes", 0, "content"))
      expect(tokio["licenses"]).to eq [{ "expression" => "MIT" }]
      expect(components.keys).to include("pkg:gem/logger", "pkg:gem/rb_sys")
      expect(components.keys.grep(/proptest|rcgen/)).to eq [] # for tests only
    end

    it "says which component depends on which, without a reference to nothing" do
      product, *others = bom["dependencies"]
      expect(product["ref"]).to eq bom.dig("metadata", "component", "bom-ref")
      expect(bom["dependencies"].flat_map { |entry| entry["dependsOn"] } - components.keys).to eq []
      expect(others.map { |entry| entry["ref"] }).to match_array(components.keys.grep(/cargo/))
    end
  end

  it "the checksums name the files of this version alone, and a changed file is found" do
    native = "proxymachine-#{NativeGem.version}-other-linux.gem"
    [native, "proxymachine-0.0.1.gem", "notes.txt"].each { |name| File.write("#{@dir}/#{name}", name) }
    files.finish(Time.at(0))
    sums = File.read("#{@dir}/SHA256SUMS")
    bom = "proxymachine-#{NativeGem.version}.cdx.json"
    expect(sums.lines.map { |line| line.split.last }).to contain_exactly(native, bom)
    expect(Shell.run("sha256sum", "--check", "SHA256SUMS", chdir: @dir)).to include("#{native}: OK")
    expect(files.wrong).to eq []
    File.write("#{@dir}/#{native}", "changed")
    expect(files.wrong).to eq [native]
    expect(files.missing).to include("proxymachine-#{NativeGem.version}.gem")
  end

  it "the table of docs/releasing.md has each check" do
    table = Documentation.read("docs/releasing.md")[/^\| line \|.*?\n\n/m]
    expect(table.scan(/^\| ([a-z ]+) \|/).flatten - ["line"]).to eq ReleaseCheck::CHECKS.keys
  end
end
