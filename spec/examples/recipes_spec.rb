# frozen_string_literal: true

RSpec.describe "docs/recipes.md:" do
  text = File.read(File.join(ProxyProcess::ROOT, "docs", "recipes.md"))
  examples = Dir.children(File.join(ProxyProcess::ROOT, "examples")).grep(/\.rb\z/)

  it "lists each example, and no other" do
    expect(text.scan(%r{\(\.\./examples/(\w+\.rb)\)}).flatten).to match_array examples
  end

  it "each example has a spec" do
    specs = examples.map { |name| File.join(__dir__, name.sub(".rb", "_spec.rb")) }
    expect(specs.reject { |path| File.exist?(path) }).to eq []
  end
end
