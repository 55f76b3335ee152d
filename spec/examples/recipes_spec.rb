# frozen_string_literal: true

RSpec.describe "docs/recipes.md" do
  text = File.read(File.join(ProxyProcess::ROOT, "docs", "recipes.md"))
  examples = Dir.children(File.join(ProxyProcess::ROOT, "examples")).grep(/\.rb\z/)

  it "lists each example, and nothing else" do
    expect(text.scan(%r{\(\.\./examples/(\w+\.rb)\)}).flatten).to match_array examples
  end

  it "names only variables that the examples read" do
    commands = text.scan(%r{^    ((?:[A-Z]\w+=.*\n?)+?.*proxymachine -c examples/\w+\.rb.*)$}).flatten
    expect(commands.size).to eq 10
    commands.each do |command|
      config = File.read(File.join(ProxyProcess::ROOT, command[%r{examples/\w+\.rb}]))
      read = config.scan(/ENV\.fetch\("(\w+)"/).flatten
      expect(read).to include(*command.scan(/\b([A-Z][A-Z_]+)=/).flatten)
    end
  end

  it "describes what has a spec" do
    specs = examples.map { |name| File.join(__dir__, name.sub(".rb", "_spec.rb")) }
    expect(specs.reject { |path| File.exist?(path) }).to eq []
  end
end
