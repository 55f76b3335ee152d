# frozen_string_literal: true

# The version stands in several files. RubyGems writes a prerelease as 2.0.0.pre1, Cargo as 2.0.0-pre1.
RSpec.describe "Version:" do
  def read(file)
    File.read("#{ProxyProcess::ROOT}/#{file}")
  end

  let(:version) { read("lib/proxymachine/version.rb")[/VERSION = "(.*)"/, 1] }
  let(:cargo_version) { version.sub(/\.(?=pre)/, "-") }

  it "is the same for the gem and the crates" do
    expect(read("Cargo.toml")[/^version = "(.*)"/, 1]).to eq cargo_version
    %w[Cargo.lock ext/engine/fuzz/Cargo.lock ext/sniff/fuzz/Cargo.lock].each do |lock|
      versions = read(lock).scan(/^name = "proxymachine[^"]*"\nversion = "(.*)"/).flatten - ["0.0.0"]
      expect(versions.uniq).to eq([cargo_version]), lock
    end
  end

  it "is the one in the documented process title" do
    expect(read("docs/signals.md")).to include("proxymachine #{version} - ")
  end

  it "is a prerelease until the changelog has a section for it" do
    released = read("CHANGELOG.md").include?("## [#{version}]")
    expect(Gem::Version.new(version).prerelease?).to be !released
  end
end
