# frozen_string_literal: true

# One of three real servers is killed under load.
RSpec.describe "A killed server:", :slow do
  running(:servers) { Array.new(3) { RedisServer.start } }
  running(:proxy) do
    addresses = servers.map(&:address)
    config = "admin '127.0.0.1:0'\nupstream :cache, *#{addresses.inspect}, :check => 0.2\nproxy { :cache }"
    ProxyProcess.start(config, log: :terse)
  end

  # A connection on which PING is answered by PONG.
  def ping(client)
    client.write("PING\r\n").read(7) == "+PONG\r\n"
  rescue SystemCallError
    false
  end

  # Connects again and again until `done`, in several threads. Their values are the times at which refused clients came.
  def clients(count, done)
    Array.new(count) do
      Thread.new do
        failed = []
        until done.call
          began = monotonic
          client = connect
          failed << began unless ping(client)
          client.close
          sleep 0.01
        end
        failed
      end
    end
  end

  it "loses its own sessions only; no client is refused that comes a second later" do
    await_checks
    sessions = Array.new(60) { connect.write("CLIENT SETNAME long\r\n") }
    expect(sessions.map { |session| session.read(5) }).to all eq "+OK\r\n"
    is_done = false
    load = clients(6, -> { is_done })
    eventually { expect(servers.map { |server| connections(server) }).to all be >= 10 }
    killed = servers.first
    lost = sessions_of(killed)
    killed.signal(:KILL)
    at = monotonic
    sleep 4
    is_done = true
    refused = load.flat_map(&:value)
    expect(refused.select { |began| began > at + 1 }).to be_empty
    expect(sessions.count { |session| ping(session) }).to eq 60 - lost
    expect(lost).to be_between(5, 40)
  end

  # Until a server has been checked, those that were found up get all clients.
  def await_checks
    eventually do
      checks = Admin.status(proxy).fetch("upstreams").first.fetch("servers").map { |server| server["last_check"] }
      expect(checks.size).to eq 3
      expect(checks).to all be_positive
    end
  end

  # The number of connections of a server, but that of redis-cli.
  def connections(server)
    server.cli("info", "clients")[/connected_clients:(\d+)/, 1].to_i - 1
  end

  # The number of long sessions of a server.
  def sessions_of(server)
    server.cli("client", "list").scan(" name=long ").size
  end
end
