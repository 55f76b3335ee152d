# frozen_string_literal: true

# Sends each PostgreSQL client to the cluster that has the database it names.
#
#   POSTGRES_CLUSTERS="shop=10.0.0.1:5432,reports=10.0.0.2:5432" proxymachine -c examples/postgres.rb
#   psql -h 127.0.0.1 -p 5432 shop

CLUSTERS = ENV.fetch("POSTGRES_CLUSTERS", "shop=127.0.0.1:5433,reports=127.0.0.1:5434")
              .split(",").to_h { |route| route.split("=", 2) }

# A cancel holds its thread until every cluster has had it. The others answer meanwhile.
threads 4

# The end of a query (Ctrl-C in psql) is asked for on a connection of its own, which names a process and its secret
# key, but no database. So each cluster is told; all but the one which gave this key away take no notice.
def cancel(request)
  CLUSTERS.values.uniq.map { |remote| Thread.new { tell(remote, request) } }.each(&:join)
end

# The client may go on when its request has been heeded; a cluster says so by closing the connection.
def tell(remote, request)
  host, _, port = remote.rpartition(":")
  Socket.tcp(host.delete("[]"), port, connect_timeout: 1) do |socket|
    socket.write(request)
    socket.wait_readable(1)
  end
rescue SystemCallError, SocketError => e
  LOGGER.warn "No cancel for #{remote}: #{e.message}"
end

# Words that psql shows as it shows those of a server.
def fatal(code, text)
  fields = "SFATAL\0VFATAL\0C#{code}\0M#{text}\0\0"
  { close: "E#{[fields.bytesize + 4].pack("N")}#{fields}" }
end

proxy do |data|
  case startup = ProxyMachine::Postgres.startup(data)
  when :incomplete then :noop
  when nil         then :close
  else
    # A client that would rather have encryption asks first. After "N" it goes on without; one that insists ends here.
    next { noop: "N" } if startup.ssl_request? || startup.gssenc_request?

    message = data.byteslice(startup.offset..) # without such a question: the cluster was not asked
    if startup.cancel?
      cancel(message.byteslice(0, startup.size))
      next :close
    end

    remote = CLUSTERS[startup.database]
    remote ? { remote: remote, data: message } : fatal("3D000", %(database "#{startup.database}" has no cluster here))
  end
end

proxy_connect_error { |remote| fatal("08006", "the cluster at #{remote} does not answer") }
