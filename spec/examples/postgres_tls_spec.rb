# frozen_string_literal: true

RSpec.describe "examples/postgres_tls.rb:" do
  # A cluster with the database, and the user alice, whose password is her name.
  def cluster(database, **options)
    PostgresCluster.start(**options).tap do |cluster|
      ["CREATE DATABASE #{database}", "CREATE USER alice PASSWORD 'alice'"].each do |statement|
        output, status = Psql.run(cluster.port, "postgres", statement)
        raise output unless status.success?
      end
    end
  end

  running(:shop) { cluster("shop") }
  running(:reports) { cluster("reports", tls: certificate) }
  running(:proxy) do
    clusters = "shop=#{shop.address},reports=tls:#{reports.address},down=#{refused_address}"
    ExampleConfig.start("postgres_tls", "TLS_CERTIFICATES" => certificate, "TLS_AUTHORITIES" => TlsFiles.authority,
                                        "POSTGRES_CLUSTERS" => clusters)
  end

  # One certificate for the proxy and for the cluster behind it, as channel binding needs.
  def certificate
    TlsFiles.shared("db.test", "127.0.0.1")
  end

  def psql(database, statement, words = "sslmode=require")
    Psql.run(proxy.port, "#{database} #{words}", statement)
  end

  # Returns the output of psql; expects success.
  def answer(...)
    output, status = psql(...)
    raise output unless status.success?

    output.chomp
  end

  it "routes a real psql by its database, inside TLS" do
    { "shop" => "f", "reports" => "t" }.each do |database, ssl|
      statement = "SELECT current_database(), inet_server_port(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
      expect(answer(database, statement)).to eq "#{database}|#{public_send(database).port}|#{ssl}"
    end
  end

  it "shows a certificate that psql verifies" do
    verify = "sslmode=verify-full sslrootcert=#{TlsFiles.authority}"
    expect(answer("shop", "SELECT 1", verify)).to eq "1"
    output, status = psql("shop", "SELECT 1", "#{verify} host=localhost hostaddr=127.0.0.1")
    expect(status).not_to be_success
    expect(output).to include 'does not match host name "localhost"'
  end

  it "requires encryption, and tells a client that has none" do
    expect(answer("shop", "SELECT 1", "sslmode=prefer")).to eq "1"
    output, status = psql("shop", "SELECT 1", "sslmode=disable")
    expect(status).not_to be_success
    expect(output).to include "the proxy requires encryption"
  end

  it "lets SCRAM bind its exchange to the certificate that proxy and cluster share" do
    words = "user=alice password=alice sslmode=require channel_binding=require"
    expect(answer("reports", "SELECT current_user", words)).to eq "alice"
  end

  it "relays large results and inputs" do
    statement = "SELECT md5(string_agg(n::text, '')), length('#{"x" * 100_000}') FROM generate_series(1, 100000) n"
    digest = Digest::MD5.hexdigest((1..100_000).to_a.join)
    %w[shop reports].each { |database| expect(answer(database, statement)).to eq "#{digest}|100000" }
    expect(answer("reports", "SELECT n FROM generate_series(1, 100000) n").lines.size).to eq 100_000
  end

  it "psql can cancel its query" do
    %w[shop reports].each do |database|
      sleeping = Child.new(Psql::ENVIRONMENT,
                           *Psql.command(proxy.port, "#{database} sslmode=require", "SELECT pg_sleep(80)"))
      eventually { active(database) == 1 }
      sleeping.signal(:INT)
      sleeping.wait
      expect(sleeping.stderr).to include "canceling statement due to user request"
    end
  end

  def active(database)
    Psql.run(public_send(database).port, "postgres", <<~SQL).first.to_i
      SELECT count(*) FROM pg_stat_activity WHERE datname = '#{database}' AND state = 'active' AND query = 'SELECT pg_sleep(80)'
    SQL
  end

  it "psql shows the reason for an unknown database" do
    shown = %w[nothing down].map { |database| psql(database, "SELECT 1").first }
    expect(shown.first).to include 'FATAL:  database "nothing" has no cluster here'
    expect(shown.last).to match(/FATAL:  the cluster at \S+ does not answer/)
  end

  it "takes nothing that a client sends in clear behind its request for encryption" do
    startup = "\0\3\0\0user\0postgres\0database\0shop\0\0"
    client = connect.write(["0000000804d2162f"].pack("H*") + [startup.bytesize + 4].pack("N") + startup)
    expect(client.read(1)).to eq "S"
    expect(client.finish.read_all).to eq ""
    proxy.await(/TLS handshake failed: /)
    expect(proxy.settle.lines.grep(/Establishing/)).to be_empty
  end
end
