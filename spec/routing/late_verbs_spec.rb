# frozen_string_literal: true

# Blocks may be replaced at any moment. The other verbs are read at the start; a later call is reported as ignored.
RSpec.describe "Verbs called while the server runs:" do
  running(:proxy) { ScriptedProxy.start }

  { "max_connections 5" => "max_connections", "threads 2" => "threads", "idle_timeout 1" => "idle_timeout",
    "upstream :late, '127.0.0.1:1'" => "upstream", "upstream_check(:late) { true }" => "upstream_check",
    "listen '127.0.0.1:0'" => "listen", "run_as #{Etc.getpwuid.name.inspect}" => "run_as" }.each do |call, verb|
    it "#{call} is reported as too late" do
      expect(ask("#{call}; { :close => 'served' }\n")).to eq "served"
      proxy.await("WARN #{verb} is read when the server starts or reloads: now it changes nothing")
    end
  end

  it "calls in a trap are reported, too, as by a config that loads itself again" do
    proxy = ProxyProcess.start(<<~RUBY)
      trap("WINCH") { load __FILE__ }
      max_preread 1000
      @version = @version.to_i + 1
      proxy { { :close => "version \#{@version}" } }
    RUBY
    expect(ask("x", proxy)).to eq "version 1"
    proxy.signal("WINCH")
    eventually { expect(ask("x", proxy)).to eq "version 2" }
    proxy.await(/WARN max_preread is read/)
  end

  it "an invalid value is an error of its own connection" do
    expect(ask("max_connections 'many'\n")).to eq ""
    proxy.await('ERROR ProxyMachine::ConfigError - max_connections takes a whole number above 0, not "many"')
  end

  it "calls during a reload apply, without a report" do
    reloaded = ProxyProcess.start("proxy { { :close => 'old' } }")
    File.write(reloaded.config_path, "max_preread 5\nproxy { |data| data.end_with?('!') ? :close : :noop }")
    reloaded.signal("HUP")
    reloaded.await(/Reloaded/)
    expect(ask("123456", reloaded)).to eq ""
    reloaded.await(/no decision after 5 bytes/)
    expect(reloaded.lines.grep(/WARN/)).to be_empty
  end

  it "calls during a reload apply to clients in the backlog" do
    waiting = ProxyProcess.start("max_connections 1\nproxy { :noop }")
    standing = connect(waiting)
    waiting.await(/Accepted/)
    queued = Array.new(20) { connect(waiting).write("123456") }
    File.write(waiting.config_path, "max_preread 5\nproxy { :noop }")
    waiting.signal("HUP")
    expect(queued).to all(be_ended)
    standing.close
  end
end
