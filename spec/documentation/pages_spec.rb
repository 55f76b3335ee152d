# frozen_string_literal: true

# The pages of docs/ as a whole.
RSpec.describe "The documentation" do
  root = File.expand_path("../..", __dir__)
  sources = Dir[File.join(root, "{lib,ext}/**/*.{rb,rs}")].map { |file| File.read(file) }
  # Without what differs from case to case: "#{...}" of Ruby, "{...}" of Rust.
  code = sources.join("\n").gsub(/"\s*\\\n\s*"/, "").gsub(/#\{(?:[^{}]|\{[^{}]*\})*\}|\{[^{}\n]*\}/, "…")

  it "has every page in its index" do
    pages = Dir.children(File.join(root, "docs")).grep(/\.md\z/) - ["README.md"]
    linked = File.read(File.join(root, "docs/README.md")).scan(/\]\(([\w.-]+\.md)\)/).flatten
    expect(linked).to match_array(pages)
  end

  it "leaves no place to be filled in later" do
    pages = Dir.glob("{*,docs/*,bench/*,man/*}.{md,1}", base: root)
    open = pages.select { |page| File.read(File.join(root, page)).match?(/@[A-Z]+@|\b(?:TODO|FIXME|TBD|XXX)\b/) }
    expect(open).to be_empty
  end

  it "has a changelog in the form that it names" do
    headings = File.read(File.join(root, "CHANGELOG.md")).scan(/^##+ .*/)
    versions, kinds = headings.partition { |line| line.start_with?("## ") }
    expect(versions.first).to eq("## [Unreleased]").or match(/\A## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\z/)
    expect(kinds - %w[Added Changed Deprecated Removed Fixed Security].map { |kind| "### #{kind}" }).to be_empty
  end

  it "tells in design.md what each file of the gem and of its extension is for" do
    files = Dir[File.join(root, "{lib/proxymachine/*.rb,ext/proxymachine/src/*.rs}")].map { |file| File.basename(file) }
    named = File.read(File.join(root, "docs/design.md")).scan(/`(\w+\.r[bs])`/).flatten
    expect(files - named).to eq ["lib.rs"]
  end

  it "goes into the gem, with the man page and the signatures" do
    files = Gem::Specification.load(File.join(root, "proxymachine.gemspec")).files
    pages = Dir.glob("docs/*.md", base: root)
    expect(files).to include("README.md", "CHANGELOG.md", "SECURITY.md", ".yardopts", "man/proxymachine.1",
                             "sig/proxymachine.rbs", "sig/manifest.yaml", *pages)
  end

  File.read(File.join(root, "docs/troubleshooting.md")).scan(/^\| `([^`]+)`/).flatten.each do |line|
    it "quotes a line that the program can say: #{line}" do
      expect(code).to include(line)
    end
  end
end
