# frozen_string_literal: true

require "open3"
require_relative "daemon"

# A real PostgreSQL cluster with the user "postgres", who needs no password. The server refuses to be root; started by
# root it is "nobody".
class PostgresCluster < Daemon
  # Debian keeps the server's programs out of the PATH.
  BINARIES = Dir.glob("/usr/lib/postgresql/*/bin").max_by { |dir| dir[/\d+/].to_i }
  INITDB = %w[--username=postgres --auth=trust --no-sync --no-locale --encoding=SQL_ASCII --no-instructions].freeze
  SETTINGS = {
    listen_addresses: "127.0.0.1", unix_socket_directories: "", fsync: "off", max_connections: 20,
    shared_buffers: "1MB", autovacuum: "off", wal_level: "minimal", max_wal_senders: 0
  }.map { |name, value| ["-c", "#{name}=#{value}"] }.flatten.freeze

  class << self
    def command(name, *arguments)
      path = BINARIES ? File.join(BINARIES, name) : name
      [*(%w[setpriv --reuid=nobody --regid=nogroup --clear-groups] if Process.uid.zero?), path, *arguments]
    end

    # The files of a new cluster, made once, as that takes a second.
    def template
      @template ||= Dir.mktmpdir("proxymachine-postgres").tap do |dir|
        at_exit { FileUtils.rm_rf(dir) }
        FileUtils.chown("nobody", "nogroup", dir) if Process.uid.zero?
        output, status = Open3.capture2e(*command("initdb", *INITDB, "--pgdata=#{dir}/data"), chdir: dir)
        raise "no cluster: #{output}" unless status.success?
      end
    end
  end

  def initialize(port)
    dir = Dir.mktmpdir("proxymachine-postgres")
    system("cp", "-a", File.join(self.class.template, "."), dir, exception: true)
    super([port], *self.class.command("postgres", "-D", File.join(dir, "data"), "-p", port.to_s, *SETTINGS),
          dir: dir, chdir: dir)
  end

  # It listens before it can answer.
  def listening?
    super && Psql.run(port, "postgres", "SELECT 1").last.success?
  end

  # At once, but with its shared memory given back.
  def stop
    signal(:QUIT) if running?
    wait
    super
  end
end

# The real psql, with its defaults whatever its user has set.
module Psql
  ENVIRONMENT = ENV.keys.grep(/\APG/).to_h { |name| [name, nil] }.freeze

  module_function

  # What it prints, and its Process::Status.
  def run(port, database, statement, *options)
    Open3.capture2e(ENVIRONMENT, *command(port, database, statement), *options)
  end

  def command(port, database, statement)
    where = "host=127.0.0.1 port=#{port} user=postgres dbname=#{database} connect_timeout=20"
    %w[psql --no-psqlrc --tuples-only --no-align --quiet] << "--dbname=#{where}" << "--command=#{statement}"
  end
end
