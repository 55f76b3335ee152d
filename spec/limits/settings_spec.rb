# frozen_string_literal: true

require "proxymachine/cli"

# Every setting is a verb and a flag, and stands in one table.
RSpec.describe "Settings:" do
  page = File.read(File.expand_path("../../docs/settings.md", __dir__))
  flags = ->(name) { "--#{name.to_s.tr("_", "-")}" }

  it "docs/settings.md and --help have all of them, and no other" do
    named = page.scan(/^\| `(\w+)` \| `(--[\w-]+)/)
    expect(named).to eq(ProxyMachine::Config::Settings::ALL.keys.map { |name| [name.to_s, flags.call(name)] })
    help = Child.new(*ProxyProcess.command, "--help")
    help.wait
    expect(help.stdout).to include(*named.map(&:last))
  end

  expected = "(a whole number|a number|an address|one of|networks|true or false,)"
  # A setting without a placeholder is a flag without an argument.
  refused = lambda do |name|
    setting = ProxyMachine::Config::Settings::ALL.fetch(name)
    setting.placeholder ? /\Aproxymachine: #{name} takes #{expected} .*"-1"$/ : /\Aproxymachine: needless argument: /
  end

  # Settings whose value is a path accept any text.
  paths = ProxyMachine::Config::Settings::ALL.select { |_, setting| %w[FILE DIR].include?(setting.placeholder) }
  (ProxyMachine::Config::Settings::ALL.keys - paths.keys).each do |name|
    it "#{name} rejects an invalid value, as a verb and as a flag" do
      child = ProxyProcess.new("#{name} 'soon'\nproxy { :close }")
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match(/\Aproxymachine: .*#{name} takes #{expected} .*"soon"$/)

      child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "#{flags.call(name)}=-1"])
      expect(child.wait.exitstatus).to eq 2
      expect(child.stderr).to match(refused[name])
    end
  end

  it "flags take precedence over the config" do
    config = "max_preread 10\nproxy { |data| data.end_with?('!') ? :close : :noop }"
    proxy = ProxyProcess.start(config, args: %w[-h 127.0.0.1 -p 0 --max-preread 5])
    expect(ask("123456", proxy)).to eq ""
    proxy.await(/ERROR .* no decision after 5 bytes \(limit 5\)/)
  end

  it "a config may have methods and local variables of the same names" do
    proxy = ProxyProcess.start(<<~RUBY)
      def threads(number) = "own \#{number}"
      keepalive = 3
      proxy { |data| { :close => threads(keepalive) } }
    RUBY
    expect(ask("x", proxy)).to eq "own 3"
  end
end
