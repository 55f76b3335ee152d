# frozen_string_literal: true

# The limit of connections: further clients wait in the kernel's backlog.
RSpec.describe "Connection limit:" do
  greeting = "proxy { |data| { :close => data.upcase } }"

  it "the next client waits, which is logged once, and is served when a connection ends" do
    proxy = ProxyProcess.start("max_connections 3\n#{greeting}")
    held = Array.new(3) { connect(proxy) }
    waiting = Array.new(2) { connect(proxy).write("hello") }
    proxy.await("WARN Reached the limit of 3 connections. New ones wait until one ends.")
    expect(waiting).to all(be_quiet)
    held.first.reset
    expect(waiting.map(&:read_all)).to eq %w[HELLO HELLO]
    eventually { expect(proxy.lines.grep(/Accepted/).size).to be >= 5 }
    expect(proxy.lines.grep(/WARN/).size).to eq 1
    held.each(&:stop)
  end

  it "a full server with waiting clients ends on a signal" do
    proxy = ProxyProcess.start("max_connections 1\n#{greeting}")
    held = connect(proxy)
    proxy.await(/Accepted/)
    waiting = connect(proxy).write("hello")
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(held).to be_ended
    waiting.stop
  end

  it "the default follows the descriptor limit, which the server raises to the hard limit" do
    config = "proxy { |data| { :close => Process.getrlimit(:NOFILE).inspect } }"
    raising = ["bash", "-c", 'ulimit -Sn 100 && ulimit -Hn 1000 && exec "$@"', "bash"]
    expect(ask("x", ProxyProcess.start(config, through: raising))).to eq "[1000, 1000]"
    proxy = ProxyProcess.start("proxy { |data| :noop }", rlimit_nofile: 64)
    clients = Array.new(40) { connect(proxy).write("x") }
    line = proxy.await(/WARN Reached the limit of \d+ connections/)
    expect(line[/\d+/].to_i).to be_between(10, 30)
    expect(proxy.lines.grep(/Cannot accept/)).to eq []
    clients.each(&:stop)
  end

  it "a missing descriptor for a backend is logged, and the server goes on" do
    echo = Backends.echo
    proxy = ProxyProcess.start(<<~RUBY, rlimit_nofile: 40)
      max_connections 100
      proxy { |data| data == "x" ? { :noop => true } : { :remote => #{echo.address.inspect}, :retries => 0 } }
    RUBY
    clients = []
    clients << connect(proxy).write("x") until proxy.log.include?("Cannot accept")
    clients.first.write("route")
    expect(clients.first.read_all).to eq ""
    proxy.await(/WARN Cannot connect to #{echo.address}: Too many open files/)
    before = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    used = cpu_seconds(proxy)
    sleep 1
    share = (cpu_seconds(proxy) - used) / (Process.clock_gettime(Process::CLOCK_MONOTONIC) - before)
    expect(share).to be < 0.5 # no busy loop
    clients.each(&:stop)
    eventually { expect(proxy.connections).to eq 0 }
    expect(connect(proxy).write("route").read(5)).to eq "route"
  end

  def cpu_seconds(proxy)
    File.read("/proc/#{proxy.pid}/stat").split(") ").last.split.values_at(11, 12).sum(&:to_i) / 100.0
  end
end
