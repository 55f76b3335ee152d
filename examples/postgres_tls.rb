# frozen_string_literal: true

# Ends the TLS of PostgreSQL clients, and routes each of them to the cluster with the requested database. A cluster
# behind `tls:` is reached by TLS, too.
#
#   TLS_CERTIFICATES=/etc/proxymachine/tls/db.pem TLS_AUTHORITIES=/etc/proxymachine/internal-ca.pem \
#     POSTGRES_CLUSTERS="shop=10.0.0.1:5432,reports=tls:reports.internal:5432" proxymachine -c examples/postgres_tls.rb
#   psql "host=127.0.0.1 port=5432 dbname=shop sslmode=require"

CERTIFICATES = certificates(*ENV.fetch("TLS_CERTIFICATES", "/etc/proxymachine/tls/*.pem").split(","))

# Whom the clusters' certificates must be signed by: the authorities of the system, if no file is given.
CLUSTER_TLS = authorities(*ENV.fetch("TLS_AUTHORITIES", "").split(","), starttls: :postgres)

CLUSTERS = ENV.fetch("POSTGRES_CLUSTERS", "shop=127.0.0.1:5433,reports=127.0.0.1:5434")
              .split(",").to_h { |route| route.split("=", 2) }

# A cancel request occupies its thread until every cluster has received it. The other threads run blocks meanwhile.
threads 4

# A cancel request (Ctrl-C in psql) comes on a separate connection and names a process and its secret key, but no
# database. It is therefore sent to each cluster; only the cluster that issued the key acts on it. PostgreSQL takes it
# in clear.
def cancel(request)
  CLUSTERS.values.uniq.map { |remote| Thread.new { tell(remote.delete_prefix("tls:"), request) } }.each(&:join)
end

# Waits until the cluster closes the connection, which means that it has handled the request.
def tell(remote, request)
  host, _, port = remote.rpartition(":")
  Socket.tcp(host.delete("[]"), port, connect_timeout: 1) do |socket|
    socket.write(request)
    socket.wait_readable(1)
  end
rescue SystemCallError, SocketError => e
  LOGGER.warn "No cancel for #{remote}: #{e.message}"
end

# Returns an answer with an ErrorResponse, which psql shows like an error of a server.
def fatal(code, text)
  fields = "SFATAL\0VFATAL\0C#{code}\0M#{text}\0\0"
  { close: "E#{[fields.bytesize + 4].pack("N")}#{fields}" }
end

def route(database)
  remote = CLUSTERS[database]
  return fatal("3D000", %(database "#{database}" has no cluster here)) unless remote

  remote.start_with?("tls:") ? { remote: remote.delete_prefix("tls:"), remote_tls: CLUSTER_TLS } : { remote: remote }
end

proxy do |data, client|
  case startup = ProxyMachine::Postgres.startup(data)
  when :incomplete then :noop
  when nil         then :close
  else
    # "S" accepts the request for encryption; "N" declines that of GSSAPI, and the client requests TLS next. What a
    # client sends behind the request, without waiting for the "S", is dropped.
    request = ProxyMachine::Postgres.startup(data.byteslice(0, startup.offset)) if startup.offset.positive?
    next { noop: "S", tls: CERTIFICATES } if [startup, request].compact.any?(&:ssl_request?)
    next { noop: "N" } if startup.gssenc_request?

    message = data.byteslice(startup.offset..) # without a request for encryption, which the proxy has answered
    if startup.cancel?
      cancel(message.byteslice(0, startup.size))
      next :close
    end
    next fatal("28000", "the proxy requires encryption: sslmode=require") unless client.tls

    answer = route(startup.database)
    answer[:remote] ? answer.merge(data: message) : answer
  end
end

proxy_connect_error { |remote| fatal("08006", "the cluster at #{remote} does not answer") }
