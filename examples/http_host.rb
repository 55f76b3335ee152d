# frozen_string_literal: true

# Routes each HTTP connection by the Host header of its first request, without a sniffer.
#
#   HTTP_ROUTES="blue.test=127.0.0.1:8001,green.test=127.0.0.1:8002" proxymachine -c examples/http_host.rb -p 8080
#   curl -H "Host: blue.test" http://127.0.0.1:8080/

HTTP_ROUTES = ENV.fetch("HTTP_ROUTES", "blue.test=127.0.0.1:8001,green.test=127.0.0.1:8002")
                 .split(",").to_h { |route| route.split("=", 2) }

# A request line with a path. A whole URL in it could name another host than the header.
REQUEST_LINE = %r{\A[A-Z]+ /\S* HTTP/1\.\d\r?\n}
# Every line that a server might take for the Host header, and the form that this config accepts: a name in any case,
# perhaps with a dot at its end, perhaps with a port.
HOST_LINES = /^[ \t]*Host[ \t]*:.*\n(?:[ \t].*\n)*/i
HOST_LINE = /\AHost:[ \t]*([\w.-]+?)\.?(?::\d+)?[ \t]*\r?\n\z/i
MAX_HEAD_SIZE = 16_384

def refuse(status)
  { close: "HTTP/1.1 #{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }
end

def host(head)
  lines = head.scan(HOST_LINES)
  lines.first[HOST_LINE, 1] if head.match?(REQUEST_LINE) && lines.size == 1 && !head.match?(/\r(?!\n)/)
end

proxy do |data|
  head, body = data.sub(/\A(?:\r?\n)+/, "").split(/(?<=\n)\r?\n/, 2)
  # The size counts also if the head is complete: otherwise the answer would depend on the pieces that arrive.
  next refuse("431 Request Header Fields Too Large") if data.size - body.to_s.size > MAX_HEAD_SIZE
  next { noop: true } unless body

  name = host(head)
  next refuse("400 Bad Request") unless name

  remote = HTTP_ROUTES[name.downcase]
  remote ? { remote: remote } : refuse("404 Not Found")
end
