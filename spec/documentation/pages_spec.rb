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

  it "goes into the gem, with the man page and the signatures" do
    files = Gem::Specification.load(File.join(root, "proxymachine.gemspec")).files
    pages = Dir.glob("docs/*.md", base: root)
    expect(files).to include("README.md", "CHANGELOG.md", "man/proxymachine.1", "sig/proxymachine.rbs",
                             "sig/manifest.yaml", *pages)
  end

  File.read(File.join(root, "docs/troubleshooting.md")).scan(/^\| `([^`]+)`/).flatten.each do |line|
    it "quotes a line that the program can say: #{line}" do
      expect(code).to include(line)
    end
  end
end
