# frozen_string_literal: true

# The pages of docs/ as a whole.
RSpec.describe "Pages of the documentation:" do
  root = File.expand_path("../..", __dir__)

  it "the index lists every page" do
    pages = Dir.children(File.join(root, "docs")).grep(/\.md\z/) - ["README.md"]
    linked = File.read(File.join(root, "docs/README.md")).scan(/\]\(([\w.-]+\.md)\)/).flatten
    expect(linked).to match_array(pages)
  end

  it "no page has a placeholder" do
    pages = Dir.glob("{*,docs/*,bench/*,man/*}.{md,1}", base: root)
    open = pages.select { |page| File.read(File.join(root, page)).match?(/@[A-Z]+@|\b(?:TODO|FIXME|TBD|XXX)\b/) }
    expect(open).to be_empty
  end

  it "the changelog has the form that it names" do
    headings = File.read(File.join(root, "CHANGELOG.md")).scan(/^##+ .*/)
    versions, kinds = headings.partition { |line| line.start_with?("## ") }
    expect(versions.first).to eq("## [Unreleased]").or match(/\A## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\z/)
    expect(kinds - %w[Added Changed Deprecated Removed Fixed Security].map { |kind| "### #{kind}" }).to be_empty
  end

  it "design.md has the purpose of each file of the gem and the extension" do
    folders = %w[lib/proxymachine ext/proxymachine/src].map { |folder| File.join(root, folder) }
    files = folders.flat_map { |folder| Dir.glob("**/*.r[bs]", base: folder) }
    named = File.read(File.join(root, "docs/design.md")).scan(%r{`([\w/]+\.r[bs])`}).flatten
    expect(files.grep_v(%r{\Asniffers/}) - named).to eq ["lib.rs"]
  end

  it "the gem contains the pages, the man page and the signatures" do
    files = Gem::Specification.load(File.join(root, "proxymachine.gemspec")).files
    pages = Dir.glob("docs/*.md", base: root)
    expect(files).to include("README.md", "CHANGELOG.md", "SECURITY.md", ".yardopts", "man/proxymachine.1",
                             "sig/proxymachine.rbs", "sig/manifest.yaml", *pages)
  end
end
