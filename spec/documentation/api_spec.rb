# frozen_string_literal: true

require "open3"
require "rbs"
require "yard"

# The API for configs and embedders: its documentation, its signatures in sig/, and their agreement.
RSpec.describe "Public API:" do
  root = ProxyProcess::ROOT

  # Everything in lib/ that is not marked @api private. A loop defines the settings' verbs, so that they are listed
  # here.
  let(:documented) do
    YARD::Logger.instance.level = YARD::Logger::ERROR
    YARD.parse(Dir["#{root}/lib/**/*.rb"])
    hidden = ->(it) { it.tag(:api) || it.visibility != :public || (it.parent && !it.parent.root? && hidden[it.parent]) }
    YARD::Registry.all(:class, :module, :constant, :method).reject(&hidden).map(&:path) | verbs
  ensure
    YARD::Registry.clear
  end

  let(:verbs) do
    RubyScript.output(<<~'RUBY').split
      require "proxymachine"
      own = ->(name) { Kernel.instance_method(name).source_location&.first.to_s.end_with?("proxymachine/dsl.rb") }
      verbs = (Kernel.private_instance_methods(false) + Kernel.public_instance_methods(false)).select(&own)
      puts verbs.map { |name| "Kernel##{name}" }
    RUBY
  end

  let(:signed) do
    parsed = RBS::Parser.parse_signature(Documentation.read("sig/proxymachine.rbs"))
    parsed.flatten.grep(RBS::AST::Declarations::Base).flat_map { |declaration| paths(declaration) }
  end

  def paths(node, outer = nil)
    case node
    when RBS::AST::Declarations::Class, RBS::AST::Declarations::Module
      path = [outer, node.name].compact.join("::")
      [path, *node.members.flat_map { |member| paths(member, path) }]
    when RBS::AST::Declarations::Constant then [[outer, node.name].compact.join("::")]
    when RBS::AST::Members::MethodDefinition then ["#{outer}#{node.kind == :singleton ? "." : "#"}#{node.name}"]
    when RBS::AST::Members::AttrReader then ["#{outer}##{node.name}"]
    else []
    end
  end

  def yard(*arguments)
    output, status = Open3.capture2e(RbConfig.ruby, "-S", "yard", *arguments, "--no-cache", "--no-save", chdir: root)
    expect([status.exitstatus, output]).to match [0, /\A(?!.*\[warn\]).* 100\.00% documented\n\z/m]
  end

  define_method(:root) { root }

  it "sig/ has a signature for each method, and no other" do
    expect(signed).to match_array documented
  end

  it "each method is documented, and the links resolve", time_limit: 600 do
    Dir.mktmpdir { |dir| yard("doc", "--fail-on-warning", "--output-dir", dir) }
  end

  it "private classes are documented, too", time_limit: 600 do
    yard("stats", "--list-undoc", "--no-yardopts", "lib/**/*.rb")
  end

  # The files of the library, without those that tests of routers load: docs/testing-routers.md has their examples.
  def served
    files = Dir["#{root}/lib/**/*.rb"].grep_v(%r{/lib/proxymachine/(testing|rspec|minitest)(\.rb|/)})
    files.map { |file| File.read(file) }
  end

  # Indented code in comments; other specs run the examples that serve.
  it "the examples run" do
    sources = served
    examples = sources.flat_map { |text| text.scan(/^ *#\n((?:^ *#   .*\n)+)/) }.flatten.grep_v(/ProxyMachine\.run/)
    examples.map! { |code| code.gsub(/^ *#   /, "").sub("/var/log/", "./") }
    expect(examples.size).to be >= 25
    RubyScript.output(ExampleIdentities.existing("require 'proxymachine'\n#{examples.join("\n")}"))
  end

  it "the examples have the documented results" do
    sources = served
    examples = sources.flat_map { |text| text.scan(/^ +#   (ProxyMachine.*?)(?:\n +#  )? +# => (.*)$/) }
    expect(examples.size).to be >= 8
    told = RubyScript.output(<<~RUBY)
      require "proxymachine"
      #{examples.map { |code, _| "p((#{code}))" }.join("\n")}
    RUBY
    expect(told.lines(chomp: true)).to eq(examples.map(&:last))
  end
end
