# frozen_string_literal: true

# Sends each HTTP request to the server for the host and the path that it asks for.
#
#   HTTP_ROUTES="blue.test/=10.0.0.1:80,blue.test/api/=10.0.0.2:80,*/static/=10.0.0.3:80" \
#     proxymachine -c examples/http.rb -p 8080
#   curl -H "Host: blue.test" http://127.0.0.1:8080/api/cats
#
# The longest path that fits counts; the routes of a host go before those of any host, "*".

HTTP_ROUTES = ENV.fetch("HTTP_ROUTES", "blue.test/=127.0.0.1:8001,blue.test/api/=127.0.0.1:8002")
                 .split(",").map { |route| route.split("=", 2) }.sort_by { |from, _| -from.size }

def server_for(host, path)
  ["#{host}#{path}", "*#{path}"].each do |asked|
    _, remote = HTTP_ROUTES.find { |from, _| asked.start_with?(from) }
    return remote if remote
  end
  nil
end

# The block sees only the first request of a connection. This asks the server to close it after the answer, so that
# the client's next request comes on a new one, and is routed anew. WebSockets and their like need the header as it is.
def last_of_its_connection(data, request)
  return data if /upgrade/i.match?(request.header("Connection"))

  head = data.byteslice(0, request.size).gsub(/^Connection:.*\n/i, "")
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
    next refuse("505 HTTP Version Not Supported") if request.http2? # which says more only in frames
    next refuse("400 Bad Request") unless request.host && request.path

    remote = server_for(request.host.downcase, request.path)
    remote ? { remote: remote, data: last_of_its_connection(data, request) } : refuse("404 Not Found")
  end
end

proxy_connect_error { refuse("503 Service Unavailable") }
