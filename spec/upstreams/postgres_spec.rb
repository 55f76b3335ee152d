# frozen_string_literal: true

# The real pgbench is the client of a real PostgreSQL, through an upstream with a queue.
RSpec.describe "A queue before PostgreSQL:", :slow do
  running(:server) { PostgresCluster.start(max_connections: 60) }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      upstream :db, #{server.address.inspect}, :max_connections => 20, :queue_timeout => 60
      proxy { :db }
    RUBY
  end

  # The most sessions that the server has at once while the block returns true, as the server counts them.
  def most_sessions
    most = 0
    Psql.session(server.port, "postgres") do |own|
      while yield
        own.puts "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend';"
        most = [most, Integer(own.gets) - 1].max
      end
    end
    most
  end

  it "serves a hundred clients with 20 connections, and fails none" do
    # A thread of pgbench waits while one of its clients connects, so each client has its own.
    bench = Pgbench.new(proxy.port, "SELECT pg_sleep(0.02)", "--client=100", "--jobs=100", "--time=5")
    most = most_sessions { bench.running? }
    expect(bench.wait).to be_success, bench.stderr
    expect(bench.stderr).not_to match(/error|abort|fail/i)
    expect(bench.transactions).to be > 100
    expect(most).to be_between(15, 20)
    expect(proxy.errors).to be_empty
    expect(proxy.settled_log).not_to include("is full")
  end
end
