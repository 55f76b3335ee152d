# frozen_string_literal: true

# Routes each PostgreSQL client to the cluster with the requested database.
#
#   POSTGRES_CLUSTERS="shop=10.0.0.1:5432,reports=10.0.0.2:5432" proxymachine -c examples/postgres.rb
#   psql -h 127.0.0.1 -p 5432 shop

CLUSTERS = ENV.fetch("POSTGRES_CLUSTERS", "shop=127.0.0.1:5433,reports=127.0.0.1:5434")
              .split(",").to_h { |route| route.split("=", 2) }

# A cancel request occupies its thread until every cluster has received it. The other threads run blocks meanwhile.
threads 4

# A cancel request (Ctrl-C in psql) comes on a separate connection and names a process and its secret key, but no
# database. It is therefore sent to each cluster; only the cluster that issued the key acts on it.
def cancel(request)
  CLUSTERS.values.uniq.map { |remote| Thread.new { tell(remote, request) } }.each(&:join)
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

proxy do |data|
  case startup = ProxyMachine::Postgres.startup(data)
  when :incomplete then :noop
  when nil         then :close
  else
    # A client that prefers encryption requests it first. After "N" it continues in clear text, or disconnects if it
    # requires encryption.
    next { noop: "N" } if startup.ssl_request? || startup.gssenc_request?

    message = data.byteslice(startup.offset..) # without the encryption request, which the proxy has answered
    if startup.cancel?
      cancel(message.byteslice(0, startup.size))
      next :close
    end

    remote = CLUSTERS[startup.database]
    remote ? { remote: remote, data: message } : fatal("3D000", %(database "#{startup.database}" has no cluster here))
  end
end

proxy_connect_error { |remote| fatal("08006", "the cluster at #{remote} does not answer") }
