# frozen_string_literal: true

# Routes each HTTP request by its host and path.
#
#   HTTP_ROUTES="blue.test/=10.0.0.1:80,blue.test/api/=10.0.0.2:80,*/static/=10.0.0.3:80" \
#     proxymachine -c examples/http.rb -p 8080
#   curl -H "Host: blue.test" http://127.0.0.1:8080/api/cats
#
# The longest matching path wins. Routes of a host take precedence over routes of any host, "*".

HTTP_ROUTES = ENV.fetch("HTTP_ROUTES", "blue.test/=127.0.0.1:8001,blue.test/api/=127.0.0.1:8002")
                 .split(",").map { |route| route.split("=", 2) }.sort_by { |from, _| -from.size }

def server_for(host, path)
  ["#{host}#{path}", "*#{path}"].each do |asked|
    _, remote = HTTP_ROUTES.find { |from, _| asked.b.start_with?(from.b) }
    return remote if remote
  end
  nil
end

# The block sees only the first request of a connection. "Connection: close" makes the server close the connection after
# its response, so the client's next request comes on a new connection and is routed by itself. Upgrades such as
# WebSocket need the original header. Empty lines before the request are dropped.
def with_connection_close(data, request)
  return data if /upgrade/i.match?(request.header("Connection"))

  head = data.byteslice(0, request.size).sub(/\A[\r\n]+/, "").gsub(/^Connection:.*\n/i, "")
  head.sub("\n", "\nConnection: close\r\n") + data.byteslice(request.size..)
end

def refuse(status)
  { close: "HTTP/1.1 #{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }
end

proxy do |data|
  case request = ProxyMachine::HTTP.request(data)
  when :incomplete then :noop
  when nil         then refuse("400 Bad Request")
  else
    next refuse("505 HTTP Version Not Supported") if request.http2? # its requests are in frames
    next refuse("400 Bad Request") unless request.host && request.path

    remote = server_for(request.host, request.path)
    remote ? { remote: remote, data: with_connection_close(data, request) } : refuse("404 Not Found")
  end
end

proxy_connect_error { refuse("503 Service Unavailable") }
