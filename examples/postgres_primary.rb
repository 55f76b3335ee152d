# frozen_string_literal: true

# Routes PostgreSQL clients to the primary of a replicated cluster, and to the new primary after a failover. Clients of
# the database "reports" get a standby as long as there is one.
#
#   POSTGRES_SERVERS="10.0.0.1:5432,10.0.0.2:5432" proxymachine -c examples/postgres_primary.rb
#   psql -h 127.0.0.1 -p 5432 shop

require "pg"

SERVERS = ENV.fetch("POSTGRES_SERVERS", "127.0.0.1:5433,127.0.0.1:5434").split(",")
LOGIN = { user: ENV.fetch("POSTGRES_USER", "postgres"), dbname: "postgres", connect_timeout: 2 }.freeze

CHECK = Float(ENV.fetch("CHECK", "2"))

upstream :primary, *SERVERS, check: CHECK, rise: 1, fall: 2, on_down: :close # No session stays at a former primary.
upstream :standby, *SERVERS, check: CHECK, rise: 1, fall: 2

# Whether a server is a standby. A server that does not answer raises, which is down.
def standby?(remote)
  host, _, port = remote.rpartition(":")
  connection = PG.connect(host: host.delete("[]"), port: port, **LOGIN)
  connection.exec("SELECT pg_is_in_recovery()").getvalue(0, 0) == "t"
ensure
  connection&.close
end

upstream_check(:primary) { |remote| !standby?(remote) }
upstream_check(:standby) { |remote| standby?(remote) }

proxy do |data|
  case startup = ProxyMachine::Postgres.startup(data)
  when :incomplete then :noop
  when nil         then :close
  else
    next { noop: "N" } if startup.ssl_request? || startup.gssenc_request?

    reads = startup.database == "reports"
    { remote: reads ? %i[standby primary] : :primary, data: data.byteslice(startup.offset..), retries: 0 }
  end
end
