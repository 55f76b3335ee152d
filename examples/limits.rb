# frozen_string_literal: true

# Limits the connections to a web server: by the client's address, and by the host of the request, so that one site
# does not take the connections of all.
#
#   HTTP_SERVER=10.0.0.1:80 PER_SOURCE=50 PER_HOST=200 proxymachine -c examples/limits.rb
#   curl -H "Host: blue.test" http://127.0.0.1:5432/

SERVER = ENV.fetch("HTTP_SERVER", "127.0.0.1:8000")
PER_SOURCE = Integer(ENV.fetch("PER_SOURCE", "50"))
PER_HOST = Integer(ENV.fetch("PER_HOST", "200"))
BUSY = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# What is over these two is closed before the block hears of it.
max_connections_per_source PER_SOURCE
connection_rate_per_source 10 * PER_SOURCE
exempt_sources(*ENV.fetch("EXEMPT", "").split(","))

proxy do |data, client|
  request = ProxyMachine::HTTP.request(data)
  next :noop if request == :incomplete
  next :close unless request&.host

  # A client near its own limit leaves the rest of the site's connections to others.
  limits = { "host #{request.host}" => PER_HOST }
  limits["host #{request.host}, busy clients"] = [PER_HOST / 2, 1].max if client.connections > PER_SOURCE / 2
  { remote: SERVER, limit: limits, over: BUSY }
end
