# frozen_string_literal: true

RSpec.describe "examples/postgres.rb:" do
  def cluster(database)
    PostgresCluster.start.tap do |cluster|
      output, status = Psql.run(cluster.port, "postgres", "CREATE DATABASE #{database}")
      raise output unless status.success?
    end
  end

  running(:shop) { cluster("shop") }
  running(:reports) { cluster("reports") }
  running(:proxy) do
    clusters = "shop=#{shop.address},reports=#{reports.address},down=#{refused_address}"
    ExampleConfig.start("postgres", "POSTGRES_CLUSTERS" => clusters)
  end

  # Returns the output of psql; expects success.
  def answer(database, statement)
    output, status = Psql.run(proxy.port, database, statement)
    raise output unless status.success?

    output.chomp
  end

  # Starts a psql that runs a long statement.
  def sleeping(database)
    psql = Child.new(Psql::ENVIRONMENT, *Psql.command(proxy.port, database, "SELECT pg_sleep(80)"))
    eventually { active(database) == 1 }
    psql
  end

  def active(database)
    Psql.run(public_send(database).port, "postgres", <<~SQL).first.to_i
      SELECT count(*) FROM pg_stat_activity WHERE datname = '#{database}' AND state = 'active' AND query = 'SELECT pg_sleep(80)'
    SQL
  end

  # Interrupts psql like Ctrl-C.
  def cancel(psql)
    psql.signal(:INT)
    psql.wait
    expect(psql.stderr).to include "canceling statement due to user request"
  end

  it "routes a real psql by its database" do
    %w[shop reports].each do |database|
      expect(answer(database, "SELECT current_database(), inet_server_port()"))
        .to eq "#{database}|#{public_send(database).port}"
    end
  end

  it "declines encryption for clients that prefer it, and only for these" do
    %w[disable allow prefer].each do |mode|
      expect(answer("shop sslmode=#{mode}", "SELECT 1")).to eq "1"
    end
    expect(proxy.settled_log.scan(/\{:?noop(?:=>|: )"N"\}/).size).to eq 1
    output, status = Psql.run(proxy.port, "shop sslmode=require", "SELECT 1")
    expect(output).to include "does not support SSL"
    expect(status).not_to be_success
  end

  it "relays large results and inputs" do
    statement = "SELECT md5(string_agg(n::text, '')), length('#{"x" * 100_000}') FROM generate_series(1, 100000) n"
    digest = Digest::MD5.hexdigest((1..100_000).to_a.join)
    expect(answer("reports", statement)).to eq "#{digest}|100000"
    expect(answer("reports", "SELECT n FROM generate_series(1, 100000) n").lines.size).to eq 100_000
  end

  %w[shop reports].each do |database|
    it "psql can cancel its query in #{database}, and no other" do
      elsewhere = database == "shop" ? "reports" : "shop"
      other = sleeping(elsewhere)
      cancel(sleeping(database))
      expect([active(database), active(elsewhere)]).to eq [0, 1]
      cancel(other)
    end
  end

  it "psql shows the reason for an unknown database" do
    shown = %w[nothing down].map { |database| Psql.run(proxy.port, database, "SELECT 1").first }
    expect(shown.first).to include 'FATAL:  database "nothing" has no cluster here'
    expect(shown.last).to match(/FATAL:  the cluster at \S+ does not answer/)
  end

  it "closes a connection that is not PostgreSQL" do
    expect(ask("GET / HTTP/1.1\r\n\r\n")).to eq ""
  end
end
