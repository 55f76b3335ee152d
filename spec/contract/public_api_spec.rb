# frozen_string_literal: true

# CONTRACT 1: the methods and constants of class ProxyMachine that configs and embedders use.
RSpec.describe "Class ProxyMachine:" do
  def script(source)
    RubyScript.new("require 'proxymachine'\n#{source}")
  end

  def output(source)
    RubyScript.output("require 'proxymachine'\n#{source}").chomp
  end

  it "is a class" do
    expect(output("puts ProxyMachine.class")).to eq "Class"
  end

  it "has VERSION" do
    expect(output("puts ProxyMachine::VERSION")).to match(/\A2\.\d+\.\d+\S*\z/)
  end

  it "has the duration of a fast shutdown" do
    expect(output("puts ProxyMachine::MAX_FAST_SHUTDOWN_SECONDS")).to eq "10"
  end

  it "does not have the EventMachine classes" do
    expect(output("p ProxyMachine.const_defined?(:ClientConnection), ProxyMachine.const_defined?(:ServerConnection)"))
      .to eq "false\nfalse"
  end

  it "returns the router and the callbacks that were set, by method or by verb" do
    expect(output(<<~RUBY)).to eq(["true"].cycle(6).to_a.join("\n"))
      route, failed, idle = proc { |data| }, proc { |remote| }, proc { |remote| }
      ProxyMachine.set_router(route)
      puts ProxyMachine.router.equal?(route)
      ProxyMachine.set_connect_error_callback(&failed)
      puts ProxyMachine.connect_error_callback.equal?(failed)
      ProxyMachine.set_inactivity_error_callback(&idle)
      puts ProxyMachine.inactivity_error_callback.equal?(idle)
      proxy(&idle)
      puts ProxyMachine.router.equal?(idle)
      proxy_connect_error(&route)
      puts ProxyMachine.connect_error_callback.equal?(route)
      proxy_inactivity_error(&failed)
      puts ProxyMachine.inactivity_error_callback.equal?(failed)
    RUBY
  end

  {
    "a proc" => "proc { |data| { :close => data.upcase } }",
    "a strict lambda" => "lambda { |data| { :close => data.upcase } }",
    "a method" => "def route(data) { :close => data.upcase } end; method(:route)",
    "any object with a call" => "router = Object.new; def router.call(data) { :close => data.upcase } end; router"
  }.each do |kind, source|
    it "accepts #{kind} as router" do
      server = script("ProxyMachine.set_router((#{source}))\nProxyMachine.run('api', '127.0.0.1', 0)")
      expect(ask("hello", server)).to eq "HELLO"
    end
  end

  it "accepts the port as a String" do
    server = script("proxy { |data| { :close => data } }\nProxyMachine.run('api', '127.0.0.1', '0')")
    expect(ask("hello", server)).to eq "hello"
  end

  it "counts current, maximum and total connections" do
    server = script(<<~'RUBY')
      proxy { |data| data == "stay" ? { :noop => true } : { :close => "#{ProxyMachine.stats} #{ProxyMachine.count}" } }
      ProxyMachine.run("api", "127.0.0.1", 0)
    RUBY
    expect(ask("?", server)).to eq "1/1/1 1"
    stayer = connect(server).write("stay")
    eventually { expect(ask("?", server)).to match(%r{\A2/2/\d+ 2\z}) }
    total = ask("?", server)[%r{/(\d+) }, 1].to_i
    stayer.close
    eventually { expect(ask("?", server)).to match(%r{\A1/2/\d+ 1\z}) }
    expect(ask("?", server)[%r{/(\d+) }, 1].to_i).to be > total
  end

  it "graceful_shutdown drains, and run returns" do
    server = script(<<~RUBY)
      proxy { |data| ProxyMachine.graceful_shutdown("STOP"); { :close => "stopping" } }
      ProxyMachine.run("api", "127.0.0.1", 0)
      puts "run returned"
    RUBY
    expect(ask("?", server)).to eq "stopping"
    expect(server.wait).to be_success
    expect(server.stdout).to include("INFO -- : Received STOP signal. No longer accepting new connections.")
    expect(server.stdout).to end_with("run returned\n")
  end

  it "fast_shutdown from another thread drains within its limit, and run returns" do
    server = script(<<~RUBY)
      proxy { |data| $asked = true; { :close => "stopping" } }
      Thread.new { sleep 0.01 until $asked; ProxyMachine.fast_shutdown("STOP") }
      ProxyMachine.run("api", "127.0.0.1", 0)
      puts "run returned"
    RUBY
    expect(ask("?", server)).to eq "stopping"
    expect(server.wait).to be_success
    expect(server.stdout).to include("Received STOP signal.", "Maximum time to wait for connections is 10 seconds.")
    expect(server.stdout).to end_with("run returned\n")
  end

  it "update_procline restores a title that a config has changed" do
    server = script(<<~RUBY)
      proxy do |data|
        $0 = "something else"
        ProxyMachine.update_procline
        { :close => $0 }
      end
      ProxyMachine.run("api", "127.0.0.1", 0)
    RUBY
    expect(ask("?", server)).to match(%r{\Aproxymachine \S+ - api 127\.0\.0\.1:\d+ - 1/1/1 cur/max/tot conns\z})
  end
end
