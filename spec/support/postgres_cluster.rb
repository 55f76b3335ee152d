# frozen_string_literal: true

require "open3"
require_relative "daemon"

# A real PostgreSQL cluster with the user "postgres" and no password. The server refuses to run as root, so that root
# starts it as "nobody".
class PostgresCluster < Daemon
  # Debian installs the server's programs outside the PATH.
  BINARIES = Dir.glob("/usr/lib/postgresql/*/bin").max_by { |dir| dir[/\d+/].to_i }
  INITDB = %w[--username=postgres --auth=trust --no-sync --no-locale --encoding=SQL_ASCII --no-instructions].freeze
  SETTINGS = {
    listen_addresses: "127.0.0.1", unix_socket_directories: "", fsync: "off", max_connections: 20,
    shared_buffers: "1MB", autovacuum: "off", wal_level: "minimal", max_wal_senders: 0
  }.freeze
  # Settings of a cluster that has a standby, and of the standby.
  REPLICATED = { wal_level: "replica", max_wal_senders: 4, hot_standby: "on" }.freeze

  class << self
    def command(name, *arguments)
      path = BINARIES ? File.join(BINARIES, name) : name
      [*(%w[setpriv --reuid=nobody --regid=nogroup --clear-groups] if Process.uid.zero?), path, *arguments]
    end

    # The files of a new cluster, created once, because initdb takes a second.
    def template
      @template ||= Dir.mktmpdir("proxymachine-postgres").tap do |dir|
        at_exit { FileUtils.rm_rf(dir) }
        FileUtils.chown("nobody", "nogroup", dir) if Process.uid.zero?
        output, status = Open3.capture2e(*command("initdb", *INITDB, "--pgdata=#{dir}/data"), chdir: dir)
        raise "no cluster: #{output}" unless status.success?
      end
    end
  end

  # The user "alice" with a password may only connect by TLS.
  ALICE = "hostssl all alice all scram-sha-256\nhost all alice all reject\n"

  # `standby_of` is a running cluster with the settings REPLICATED, which the new one follows. `tls` is the file with
  # the chain and key of a server that offers TLS.
  def initialize(port, standby_of: nil, tls: nil, **settings)
    dir = Dir.mktmpdir("proxymachine-postgres")
    if standby_of
      standby_of.back_up(dir)
    else
      system("cp", "-a", File.join(self.class.template, "."), dir, exception: true)
    end
    settings.update(offer_tls(tls, File.join(dir, "data"))) if tls
    arguments = SETTINGS.merge(settings).flat_map { |name, value| ["-c", "#{name}=#{value}"] }
    super([port], *self.class.command("postgres", "-D", File.join(dir, "data"), "-p", port.to_s, *arguments),
          dir: dir, chdir: dir)
  end

  # Writes the files of a standby.
  def back_up(dir)
    FileUtils.chown("nobody", "nogroup", dir) if Process.uid.zero?
    options = %w[--username=postgres --checkpoint=fast --write-recovery-conf --no-sync --host=127.0.0.1]
    command = self.class.command("pg_basebackup", *options, "--port=#{port}", "--pgdata=#{dir}/data")
    output, status = Open3.capture2e(Psql::ENVIRONMENT, *command, chdir: dir)
    raise "no backup: #{output}" unless status.success?
  end

  # Makes a standby the primary.
  def promote
    Psql.run(port, "postgres", "SELECT pg_promote(wait => true)")
  end

  # PostgreSQL listens before it can answer queries.
  def listening?
    super && Psql.run(port, "postgres", "SELECT 1").last.success?
  end

  # Copies the file, because the server takes no key that another user owns, and returns the settings.
  def offer_tls(file, data)
    own = File.join(data, "server.pem")
    FileUtils.cp(file, own)
    File.chmod(0o600, own)
    FileUtils.chown("nobody", "nogroup", own) if Process.uid.zero?
    access = File.join(data, "pg_hba.conf")
    File.write(access, ALICE + File.read(access))
    { ssl: "on", ssl_cert_file: own, ssl_key_file: own }
  end

  # QUIT ends the server at once, and it still releases its shared memory.
  def stop
    signal(:QUIT) if running?
    wait
    super
  end
end

# The real psql, without its user's settings.
module Psql
  ENVIRONMENT = ENV.keys.grep(/\APG/).to_h { |name| [name, nil] }.freeze

  module_function

  # Returns psql's output and its Process::Status.
  def run(port, database, statement, *options)
    Open3.capture2e(ENVIRONMENT, *command(port, database, statement), *options)
  end

  # Yields an IO that takes statements, and has a line for each of their rows.
  def session(port, database, &)
    IO.popen([ENVIRONMENT, *command(port, database)], "r+", &)
  end

  # @param database [String] the database, and further words of the connection string
  # @param statement [String] the only one; without it, psql reads statements from its standard input
  def command(port, database, statement = nil)
    where = "host=127.0.0.1 port=#{port} user=postgres dbname=#{database} connect_timeout=20"
    command = %w[psql --no-psqlrc --tuples-only --no-align --quiet] << "--dbname=#{where}"
    statement ? command << "--command=#{statement}" : command
  end
end
