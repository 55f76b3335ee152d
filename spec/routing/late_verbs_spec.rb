# frozen_string_literal: true

# Blocks may be replaced at any moment; the other verbs are read when the server starts, and later ones say so.
RSpec.describe "A verb that is called while the server runs" do
  running(:proxy) { Puppet.start }

  { "max_connections 5" => "max_connections", "threads 2" => "threads", "idle_timeout 1" => "idle_timeout",
    "listen '127.0.0.1:0'" => "listen", "run_as #{Etc.getpwuid.name.inspect}" => "run_as" }.each do |call, verb|
    it "is told of if it comes too late: #{call}" do
      expect(ask("#{call}; { :close => 'served' }\n")).to eq "served"
      proxy.await("WARN #{verb} is read when the server starts or reloads: now it changes nothing")
    end
  end

  it "is told of in a trap, too, where a config that loads itself again for its routes calls it" do
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

  it "with a value that is none is an error of its own connection" do
    expect(ask("max_connections 'many'\n")).to eq ""
    proxy.await('ERROR ProxyMachine::ConfigError - max_connections takes a whole number above 0, not "many"')
  end

  it "counts when the config is reloaded, and is not told of" do
    reloaded = ProxyProcess.start("proxy { { :close => 'old' } }")
    File.write(reloaded.config_path, "max_preread 5\nproxy { |data| data.end_with?('!') ? :close : :noop }")
    reloaded.signal("HUP")
    reloaded.await(/Reloaded/)
    expect(ask("123456", reloaded)).to eq ""
    reloaded.await(/no decision after 5 bytes/)
    expect(reloaded.lines.grep(/WARN/)).to be_empty
  end

  it "counts for those, too, who wait to be accepted when the config is reloaded" do
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
