# frozen_string_literal: true

# Sends each HTTP client to the server for the host that it asks for.
#
#   HTTP_ROUTES="blue.test=127.0.0.1:8001,green.test=127.0.0.1:8002" proxymachine -c examples/http_host.rb -p 8080
#   curl -H "Host: blue.test" http://127.0.0.1:8080/

HTTP_ROUTES = ENV.fetch("HTTP_ROUTES", "blue.test=127.0.0.1:8001,green.test=127.0.0.1:8002")
                 .split(",").to_h { |route| route.split("=", 2) }

# The Host line, when all of it is here; its port does not matter.
HOST_LINE = /\r?\nHost:[ \t]*([^\s:]+)(?::\d+)?[ \t]*\r?\n/i
LONGEST_HEAD = 16_384

def refuse(status)
  { close: "HTTP/1.1 #{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }
end

proxy do |data|
  head, complete = data.split(/(?<=\n)\r?\n/, 2)
  if head =~ HOST_LINE
    remote = HTTP_ROUTES[$1.downcase]
    remote ? { remote: remote } : refuse("404 Not Found")
  elsif complete
    refuse("400 Bad Request")
  elsif data.size > LONGEST_HEAD
    refuse("431 Request Header Fields Too Large")
  else
    { noop: true }
  end
end
