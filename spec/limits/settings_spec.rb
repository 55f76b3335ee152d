# frozen_string_literal: true

require "proxymachine/cli"

# Every limit is a verb and a flag, with one table that tells of both.
RSpec.describe "The settings" do
  page = File.read(File.expand_path("../../docs/settings.md", __dir__))
  flags = ->(name) { "--#{name.to_s.tr("_", "-")}" }

  it "all stand in docs/settings.md and in --help, and nothing else does" do
    named = page.scan(/^\| `(\w+)` \| `(--[\w-]+)/)
    expect(named).to eq(ProxyMachine::Settings::ALL.keys.map { |name| [name.to_s, flags.call(name)] })
    help = Child.new(*ProxyProcess.command, "--help")
    help.wait
    expect(help.stdout).to include(*named.map(&:last))
  end

  expected = "(a whole number|a number|an address|one of)"

  # Any words are the path of a file.
  (ProxyMachine::Settings::ALL.keys - [:access_log]).each do |name|
    it "#{name} refuses what is none, as a verb and as a flag" do
      child = ProxyProcess.new("#{name} 'soon'\nproxy { :close }")
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match(/\Aproxymachine: .*#{name} takes #{expected} .*"soon"$/)

      child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "#{flags.call(name)}=-1"])
      expect(child.wait.exitstatus).to eq 2
      expect(child.stderr).to match(/\Aproxymachine: #{name} takes #{expected} .*"-1"$/)
    end
  end

  it "of the command line hold, whatever the config says" do
    config = "max_preread 10\nproxy { |data| data.end_with?('!') ? :close : :noop }"
    proxy = ProxyProcess.start(config, args: %w[-h 127.0.0.1 -p 0 --max-preread 5])
    expect(ask("123456", proxy)).to eq ""
    proxy.await(/ERROR .* no decision after 5 bytes \(limit 5\)/)
  end

  it "leave a config's own methods and local variables of these names alone" do
    proxy = ProxyProcess.start(<<~RUBY)
      def threads(number) = "own \#{number}"
      keepalive = 3
      proxy { |data| { :close => threads(keepalive) } }
    RUBY
    expect(ask("x", proxy)).to eq "own 3"
  end
end
