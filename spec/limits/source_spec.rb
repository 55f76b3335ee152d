# frozen_string_literal: true

# The limits by source: max_connections_per_source, connection_rate_per_source, exempt_sources, client.connections.
RSpec.describe "Limits by source:" do
  greeting = "proxy { |data| { :close => data.upcase } }"

  def from(host, to = proxy)
    connect_from("127.0.0.#{host}", to.port)
  end

  # Connects so many clients and waits until each is accepted or closed.
  def hold(number, host, to = proxy)
    Array.new(number) { from(host, to) }.each { |client| to.await("INFO Accepted #{client.address}") }
  end

  # The reply to the text; empty if the client is over a limit, and closed at once.
  def reply(text, host)
    client = from(host)
    client.write(text).read_all
  rescue SystemCallError
    ""
  ensure
    client&.close
  end

  def reload(config)
    File.write(proxy.config_path, config)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
  end

  describe "connections," do
    let(:proxy) { ProxyProcess.start("max_connections_per_source 2\n#{greeting}") }

    it "a further one is closed at once, and other sources are served" do
      held = hold(2, 5)
      3.times { expect(from(5).read_all).to eq "" }
      expect(from(6).write("hello").read_all).to eq "HELLO"
      expect(held.map { |client| client.write("held").read_all }).to eq %w[HELD HELD]
      held.each(&:close)
      eventually { expect(reply("again", 5)).to eq "AGAIN" }
    end

    it "what is over the limit has no INFO line, and one WARN names the source" do
      held = hold(2, 5)
      over = Array.new(20) { from(5) }
      expect(over.map(&:read_all)).to all(eq "")
      closed = /closed \d+ connections? from there, \d+ of all sources\./
      proxy.await(/\AWARN 127\.0\.0\.5 is over max_connections_per_source 2: #{closed}/)
      lines = proxy.settle.lines
      expect(lines.grep(/WARN/).size).to eq 1
      addresses = over.map(&:address)
      expect(lines.select { |line| addresses.any? { |address| line.include?(address) } }).to eq []
      held.each(&:close)
    end

    it "each has a line in the access log, and is counted" do
      proxy = ProxyProcess.start("max_connections_per_source 1\naccess_log LOG_FILE\nadmin 0\n#{greeting}")
      held = hold(1, 5, proxy)
      over = Array.new(3) { from(5, proxy) }.each(&:read_all)
      held.first.close
      lines = eventually do
        lines = File.readlines(File.join(proxy.dir, "log"), chomp: true)
        lines if lines.size >= 4
      end
      expect(lines.grep(/ RL 0 connections /).map(&:split).map(&:first)).to match_array over.map(&:address)
      expect(lines.grep(/ RL /)).to all(match(%r{ - 0/0/-1/-1/-1/0 0/0 RL 0 connections }))
      shown = ['limit="max_connections_per_source"} 3', 'code="RL"} 3', "proxymachine_sources 0\n"]
      eventually { expect(Admin.get(proxy, "/metrics")).to include(*shown) }
      over_limits = Admin.status(proxy).fetch("limits").fetch("over")
      expect(over_limits).to eq [{ "name" => "127.0.0.5", "limit" => "max_connections_per_source", "max" => 1,
                                   "current" => 0, "closed" => 3 }]
      expect(Admin.get(proxy, "/")).to match(/Over a limit.*127\.0\.0\.5/m)
      expect(Admin.get(proxy, "/status.txt")).to match(/^127\.0\.0\.5 +max_connections_per_source +1 +0 +3$/)
    end

    it "Ruby is not asked once about a flood" do
      proxy = ProxyProcess.start(<<~RUBY)
        max_connections_per_source 1
        proxy_accept { |client| LOGGER.info("asked about \#{client}"); :noop }
        #{greeting}
      RUBY
      held = hold(1, 5, proxy)
      300.times { from(5, proxy).close }
      other = from(6, proxy)
      expect(other.write("x").read_all).to eq "X"
      expect(proxy.settle.lines.grep(/asked about 127\.0\.0\.[56]:/).size).to eq 2
      held.first.close
    end

    it "a reload changes the limit, counts open connections, and closes none" do
      held = hold(2, 5)
      reload("max_connections_per_source 3\n#{greeting}")
      held += hold(1, 5)
      expect(from(5).read_all).to eq ""
      reload("max_connections_per_source 1\n#{greeting}")
      held.pop(2).each { |client| expect(client.write("open").read_all).to eq "OPEN" }.each(&:close)
      expect(from(5).read_all).to eq ""
      expect(held.first.write("last").read_all).to eq "LAST"
      held.first.close
      eventually { expect(reply("new", 5)).to eq "NEW" }
    end

    it "each worker has its own" do
      proxy = ProxyProcess.new("max_connections_per_source 1\n#{greeting}",
                               args: %w[-h 127.0.0.1 -p 0 --workers 2])
      port = proxy.await(/Serving with 2 workers/)[/:(\d+)\.\z/, 1].to_i
      clients = Array.new(20) { connect_from("127.0.0.5", port) }
      eventually { expect(clients.count(&:quiet?)).to be_between(1, 2) }
      clients.each(&:close)
    end

    it "a drain ends with clients at their limit" do
      held = hold(2, 5)
      proxy.signal("QUIT")
      expect(proxy.wait).to be_success
      held.each(&:close)
    end
  end

  it "connections beyond the rate are closed, and a burst has the size of the rate" do
    proxy = ProxyProcess.start("connection_rate_per_source 1\naccess_log LOG_FILE\n#{greeting}")
    burst = Array.new(5) { from(5, proxy) }
    expect(burst.first.write("x").read_all).to eq "X"
    expect(from(6, proxy).write("y").read_all).to eq "Y"
    expect(burst.drop(1).map { |client| client.write("x").received_end && client }.size).to eq 4
    # A busy machine may take more than a second for five connections.
    rates = eventually { File.read(File.join(proxy.dir, "log")).scan(/^127\.0\.0\.5:.* RL 0 rate /).size.nonzero? }
    expect(rates).to be_between(1, 4)
    proxy.await(/WARN 127\.0\.0\.5 is over connection_rate_per_source 1: closed/)
    eventually { expect(from(5, proxy).write("z").ended?).to be false }
  rescue Errno::EPIPE, Errno::ECONNRESET
    retry
  end

  it "exempt sources have no limit, in the config and as a flag" do
    config = "max_connections_per_source 1\nconnection_rate_per_source 1\n#{greeting}"
    starts = [["exempt_sources '127.0.0.4/31', '127.0.0.7'\n#{config}", []],
              [config, ["--exempt-sources", "127.0.0.4/31, 127.0.0.7"]]]
    starts.each do |source, flags|
      proxy = ProxyProcess.start(source, args: ["-h", "127.0.0.1", "-p", "0", *flags])
      clients = [4, 4, 5, 5, 7, 7].map { |host| from(host, proxy) }
      expect(clients.map { |client| client.write("x").read_all }).to eq ["X"] * 6
      held = from(6, proxy)
      proxy.await("INFO Accepted #{held.address}")
      expect(from(6, proxy).read_all).to eq ""
      held.close
    end
  end

  it "clients of a Unix socket have no limit, and nil connections" do
    proxy = ProxyProcess.start(<<~RUBY)
      max_connections_per_source 1
      listen "unix:#{path = File.join(Dir.mktmpdir("proxymachine-spec"), "socket")}"
      proxy { |data, client| { :close => client.connections.inspect } }
    RUBY
    sockets = Array.new(3) { UNIXSocket.new(path) }
    replies = sockets.map { |socket| socket.write("x") && socket.read }
    expect(replies).to eq %w[nil nil nil]
    expect(from(5, proxy).write("x").read_all).to eq "1"
  ensure
    sockets&.each(&:close)
  end

  it "client.connections counts the open connections of the source, at each call" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data, client| data.end_with?("\\n") ? { :close => client.connections.to_s } : :noop }
    RUBY
    held = hold(3, 5, proxy)
    expect(from(6, proxy).write("x\n").read_all).to eq "1"
    client = held.pop.write("x")
    expect(client.write("\n").read_all).to eq "3"
    [3, 2].each do |number|
      eventually { expect(from(5, proxy).write("x\n").read_all).to eq number.to_s }
      held.pop.close
    end
  end

  {
    "max_connections_per_source 0" => "max_connections_per_source takes a whole number above 0, not 0",
    "max_connections_per_source '2x'" => 'max_connections_per_source takes a whole number above 0, not "2x"',
    "connection_rate_per_source -1" => "connection_rate_per_source takes a whole number above 0, not -1",
    "exempt_sources 'home'" => 'exempt_sources takes networks such as "10.0.0.0/8", not "home"',
    "exempt_sources '10.0.0.0/8', '10.0.0.0/33'" => 'takes networks such as "10.0.0.0/8", not "10.0.0.0/33"',
    "exempt_sources '10.0.0.0/8,'" => 'exempt_sources takes networks such as "10.0.0.0/8", not ""',
    "exempt_sources 10" => 'exempt_sources takes networks such as "10.0.0.0/8", not 10'
  }.each do |line, message|
    it "#{line}: a config error" do
      child = ProxyProcess.new("#{line}\n#{greeting}", args: ["--check"])
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to include message
    end
  end
end
