# frozen_string_literal: true

# `:start`, `:stop`, `:idle` and `:hold`: a server, here a plain process, that is started when a client comes.
RSpec.describe "Servers on demand:", :slow do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:port) { Daemon.free_ports(1).first }

  after do
    Process.kill(:KILL, File.read(path("pid")).to_i) if File.exist?(path("pid"))
    FileUtils.rm_rf(dir)
  rescue Errno::ESRCH
    FileUtils.rm_rf(dir)
  end

  def path(name)
    File.join(dir, name)
  end

  # The server takes a moment to start, replies to each client, and counts its clients.
  let(:server) { <<~'RUBY' }
    sleep 0.3
    server = TCPServer.new("127.0.0.1", ARGV[0].to_i)
    server.listen(1024)
    loop do
      Thread.new(server.accept) do |client|
        client.write("served:#{client.readpartial(100)}")
        client.read
        client.close
      rescue SystemCallError, EOFError
        client.close
      end
    end
  RUBY

  # `hooks` has Ruby that runs in :start and :stop after the count, or instead of the rest.
  def start(options = ":hold => 20", hooks = {}, more = "", **arguments)
    File.write(path("server.rb"), server)
    ProxyProcess.start(<<~RUBY, **arguments)
      DIR = #{dir.inspect}
      def count(name) = File.write(File.join(DIR, name), "x", :mode => "a")

      def start
        count("starts")
        #{hooks[:start]}
        pid = spawn(#{RbConfig.ruby.inspect}, "-rsocket", File.join(DIR, "server.rb"), "#{port}", :pgroup => true)
        Process.detach(pid)
        File.write(File.join(DIR, "pid"), pid.to_s)
      end

      def stop
        count("stops")
        #{hooks[:stop]}
        pid = File.read(File.join(DIR, "pid")).to_i
        Process.kill(:TERM, pid)
        sleep 0.01 while Process.kill(0, pid)
      rescue Errno::ESRCH
        File.delete(File.join(DIR, "pid"))
      end

      upstream :game, "127.0.0.1:#{port}", :start => -> { start }, :stop => -> { stop }, #{options}
      proxy { { :remote => :game, :retries => 0 } }
      proxy_connect_error { |remote| { :close => "no \#{remote}" } }
      #{more}
    RUBY
  end

  def starts
    File.exist?(path("starts")) ? File.size(path("starts")) : 0
  end

  def stops
    File.exist?(path("stops")) ? File.size(path("stops")) : 0
  end

  # Starts the server without the proxy.
  def running_server
    File.write(path("server.rb"), server)
    pid = spawn(RbConfig.ruby, "-rsocket", path("server.rb"), port.to_s, pgroup: true)
    Process.detach(pid)
    File.write(path("pid"), pid.to_s)
    eventually { Socket.tcp("127.0.0.1", port) { true } rescue false } # rubocop:disable Style/RescueModifier
  end

  # Upgrades, and ends the new process after the block.
  def upgrade(proxy)
    proxy.signal(:USR2)
    proxy.await(/\AINFO Upgraded: /)
    yield
  ensure
    Process.kill(:KILL, File.read(path("pidfile")).to_i)
  end

  def upgradable = %W[-h 127.0.0.1 -p 0 --pidfile #{path("pidfile")}]

  # Asks, and ends the connection when the reply has come.
  def served(client)
    client.read("served:x".size).tap { client.close }
  end

  it "is started once for 200 clients at once, and all are served" do
    proxy = start
    clients = Array.new(200) { connect(proxy).write("x") }
    expect(clients.map { |client| served(client) }).to all eq "served:x"
    expect(starts).to eq 1
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    expect(starts).to eq 1
    expect(proxy.errors - ["ERROR Upstream game: no server is up"]).to be_empty
  end

  it "is not started by clients that send nothing, or that have left" do
    proxy = start(":hold => 20", {}, "proxy_accept { :game }")
    scanner = connect(proxy)
    connect(proxy).reset
    connect(proxy).finish.close
    proxy.settle
    sleep 0.3
    expect(starts).to eq 0
    expect(scanner).to be_quiet
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    expect(served(scanner.write("x"))).to eq "served:x" # The scanner was held, and is connected.
    expect(starts).to eq 1
  end

  it "is stopped after :idle seconds without a connection, and started for the next client" do
    proxy = start(":idle => 0.3, :hold => 20")
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    eventually { expect(stops).to eq 1 }
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    expect(starts).to eq 2
    eventually { expect(stops).to eq 2 }
  end

  it "is not stopped while a client is connected" do
    proxy = start(":idle => 0.2, :hold => 20")
    client = connect(proxy).write("x")
    expect(client.read(8)).to eq "served:x"
    sleep 0.6
    expect(stops).to eq 0
    client.close
    eventually { expect(stops).to eq 1 }
  end

  it "holds the clients that come while :stop runs, and is started after it" do
    proxy = start(":idle => 0.2, :hold => 20", { stop: "sleep 0.01 until File.exist?(File.join(DIR, \"go\"))" })
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    eventually { expect(stops).to eq 1 }
    client = connect(proxy).write("x")
    left = connect(proxy).write("x")
    proxy.settle
    left.reset
    expect(client).to be_quiet
    expect(starts).to eq 1
    File.write(path("go"), "")
    expect(served(client)).to eq "served:x"
    expect(starts).to eq 2
  end

  it "is not stopped if it was neither started nor reached" do
    start(":idle => 0.1, :hold => 1")
    sleep 0.5
    expect([starts, stops]).to eq [0, 0]
  end

  it "is stopped if it ran already and a client has reached it" do
    running_server
    proxy = start(":idle => 0.2, :hold => 20")
    sleep 0.5
    expect(stops).to eq 0
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    eventually { expect([starts, stops]).to eq [0, 1] }
  end

  it "ends the hold with an ERROR line if :start raises" do
    proxy = start(":hold => 60", { start: 'raise "no such unit"' })
    expect(ask("x", proxy)).to eq "no game"
    expect(proxy.errors).to include "ERROR Upstream game: its :start failed: RuntimeError - no such unit"
    expect(ask("x", proxy)).to eq "no game"
    expect(starts).to eq 2
  end

  it "ends the hold if :start ends its thread, exits or throws" do
    ["Thread.exit", "exit", "throw :x"].each do |ruby|
      proxy = start(":hold => 60", { start: ruby })
      expect(ask("x", proxy)).to eq "no game"
      expect(proxy.errors.grep(/its :start failed/).size).to eq 1
      proxy.signal(:TERM)
      expect(proxy.wait).to be_success
    end
  end

  it "holds a client for :hold seconds at most, even if :start hangs" do
    proxy = start(":hold => 0.5", { start: "sleep" })
    began = monotonic
    expect(ask("x", proxy)).to eq "no game"
    expect(monotonic - began).to be >= 0.5
    expect(ask("y", proxy)).to eq "no game"
    expect(starts).to eq 1
    proxy.signal(:TERM)
    expect(proxy.wait).to be_success
  end

  it "is up when upstream_check says so, which is asked often after the start" do
    proxy = start(":hold => 20, :check => 3600", {}, <<~RUBY)
      upstream_check(:game) { |remote| File.exist?(File.join(DIR, "ready")) }
    RUBY
    proxy.await(/\AWARN Upstream game: .* is down: its check said false/)
    client = connect(proxy).write("x")
    eventually { expect(starts).to eq 1 }
    eventually { Socket.tcp("127.0.0.1", port) { true } rescue false } # rubocop:disable Style/RescueModifier
    expect(client).to be_quiet
    File.write(path("ready"), "")
    expect(served(client)).to eq "served:x"
  end

  it "with --workers is started and stopped once in all" do
    proxy = start(":idle => 0.5, :hold => 20", workers: 3)
    clients = Array.new(60) { connect(proxy).write("x") }
    expect(clients.map { |client| served(client) }).to all eq "served:x"
    expect(starts).to eq 1
    eventually { expect(stops).to eq 1 }
    clients = Array.new(60) { connect(proxy).write("x") }
    expect(clients.map { |client| served(client) }).to all eq "served:x"
    expect(starts).to eq 2
    eventually { expect(stops).to eq 2 }
    sleep 1
    expect([starts, stops]).to eq [2, 2]
  end

  it "with --workers is not stopped while any worker has a client" do
    proxy = start(":idle => 0.3, :hold => 20", workers: 3)
    first, client = Array.new(2) { connect(proxy).write("x") }
    expect([first, client].map { |one| one.read(8) }).to all eq "served:x"
    first.close
    sleep 1
    expect(stops).to eq 0
    client.close
    eventually { expect(stops).to eq 1 }
  end

  { "one process" => 1, "workers" => 2 }.each do |what, workers|
    it "goes on over an upgrade of #{what}: it is not stopped while the old process has a client, but then" do
      proxy = start(":idle => 0.5, :hold => 20", args: upgradable, workers: workers)
      client = connect(proxy).write("x")
      expect(client.read(8)).to eq "served:x"
      sleep 1 # A worker without clients asks whether it may stop the server, in vain.
      upgrade(proxy) do
        sleep 1.5
        expect([starts, stops]).to eq [1, 0]
        client.close
        expect(proxy.wait).to be_success
        eventually { expect([starts, stops]).to eq [1, 1] }
        expect(served(connect(proxy).write("x"))).to eq "served:x"
        expect(starts).to eq 2
      end
    end

    it "is stopped after an upgrade of #{what} if it was only reached before, never started" do
      running_server
      proxy = start(":idle => 1, :hold => 20", args: upgradable, workers: workers)
      client = connect(proxy).write("x")
      expect(client.read(8)).to eq "served:x"
      sleep 1 # The worker tells the main process meanwhile, which tells the new one when it starts that.
      upgrade(proxy) do
        client.close
        expect(proxy.wait).to be_success
        eventually { expect([starts, stops]).to eq [0, 1] }
      end
    end

    it "is not stopped by the old process of an upgrade of #{what}, which has other clients" do
      other = Backends.echo("other")
      more = <<~RUBY
        proxy { |data| data == "o" ? #{other.address.inspect} : { :remote => :game, :retries => 0 } }
      RUBY
      proxy = start(":idle => 0.5, :hold => 20", {}, more, args: upgradable, workers: workers)
      held = connect(proxy).write("o")
      expect(held.read(7)).to eq "other:o"
      first = connect(proxy).write("x")
      expect(first.read(8)).to eq "served:x"
      upgrade(proxy) do
        client = connect(proxy).write("x")
        expect(client.read(8)).to eq "served:x"
        first.close
        sleep 1.5
        expect(stops).to eq 0
        client.close
        held.close
        expect(proxy.wait).to be_success
        eventually { expect(stops).to eq 1 }
      end
    end
  end

  it "with --workers is stopped after a reload if it was only reached before, never started" do
    running_server
    proxy = start(":idle => 1, :hold => 20", workers: 2)
    client = connect(proxy).write("x")
    expect(client.read(8)).to eq "served:x"
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    client.close
    eventually { expect([starts, stops]).to eq [0, 1] }
  end

  it "goes on over a reload" do
    proxy = start(":idle => 1, :hold => 20")
    expect(served(connect(proxy).write("x"))).to eq "served:x"
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    eventually { expect([starts, stops]).to eq [1, 1] }
  end
end
