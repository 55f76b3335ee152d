# frozen_string_literal: true

RSpec.describe "examples/postgres_primary.rb:", :slow do
  before(:context) { skip_without_gems(ExampleRouter.source("postgres_primary")) }

  running(:primary) { PostgresCluster.start(**PostgresCluster::REPLICATED) }
  running(:standby) { PostgresCluster.start(standby_of: primary, **PostgresCluster::REPLICATED) }
  running(:proxy) do
    servers = [primary, standby].map(&:address).join(",")
    ExampleConfig.start("postgres_primary", { "POSTGRES_SERVERS" => servers, "CHECK" => "0.4" })
  end

  # The port of the server that a new session reaches, and whether that is a standby.
  def session(database = "postgres")
    output, status = Psql.run(proxy.port, database, "SELECT inet_server_port(), pg_is_in_recovery()")
    status.success? ? output.chomp.split("|") : output
  end

  # Waits until a server is known to be down, perhaps since before the example.
  def await_down(name, server)
    eventually { expect(proxy.log).to include("Upstream #{name}: #{server.address} is down: its check said false") }
  end

  it "routes to the primary, and after a failover to the new one" do
    Psql.run(primary.port, "postgres", "CREATE DATABASE reports")
    Psql.run(primary.port, "postgres", "CREATE TABLE sessions (at int)")
    await_down("primary", standby)
    await_down("standby", primary)
    expect(Array.new(10) { session }).to all eq [primary.port.to_s, "f"]
    eventually { expect(session("reports")).to eq [standby.port.to_s, "t"] }

    Pgbench.new(proxy.port, "INSERT INTO sessions VALUES (1)", "--client=8", "--time=60")
    eventually { expect(Psql.run(primary.port, "postgres", "SELECT count(*) > 20 FROM sessions").first).to eq "t\n" }
    primary.signal(:QUIT)
    primary.wait
    standby.promote
    proxy.await("INFO Upstream primary: #{standby.address} is up")
    # With :rise => 1 that is the first check after the promotion that has begun after it.
    after = Pgbench.new(proxy.port, "INSERT INTO sessions VALUES (2)", "--client=8", "--time=2")
    expect(after.wait).to be_success, after.stderr
    expect(after.stderr).not_to match(/error|abort|fail/i)
    expect(after.transactions).to be > 20
    expect(Array.new(10) { session }).to all eq [standby.port.to_s, "f"]
    expect(session("reports")).to eq [standby.port.to_s, "f"] # There is no standby any more.
  end
end
