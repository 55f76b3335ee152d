# frozen_string_literal: true

# Routes HTTP connections on one port to the backend that the path names. bin/demo runs this config.
#
#   DEMO_ROUTES="cats=127.0.0.1:9001,dogs=127.0.0.1:9002" proxymachine -c examples/demo.rb
#   curl http://127.0.0.1:5432/cats

DEMO_ROUTES = ENV.fetch("DEMO_ROUTES", "cats=127.0.0.1:9001,dogs=127.0.0.1:9002")
                 .split(",").to_h { |route| route.split("=", 2) }
LONGEST_FIRST_LINE = 2048

# Returns a complete HTTP response that the proxy sends itself, without a backend.
def answer(status, text)
  { close: "HTTP/1.1 #{status}\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}" }
end

proxy do |data|
  line = data[/\A[^\n]*\n/]
  # The size counts also if the line is complete: otherwise the answer would depend on the pieces that arrive.
  if (line || data).size > LONGEST_FIRST_LINE
    answer("400 Bad Request", "The first line is too long.\n")
  elsif line.nil?
    { noop: true } # wait until the first line is complete
  elsif line =~ %r{\A[A-Z]+ /(\w*)\S* HTTP/1\.[01]\r\n}
    remote = DEMO_ROUTES[$1]
    remote ? { remote: remote } : answer("404 Not Found", "There is no server for /#{$1}.\n")
  else
    answer("400 Bad Request", "This is no HTTP request.\n")
  end
end

proxy_connect_error { |remote| LOGGER.warn "Is the server at #{remote} running?" }
