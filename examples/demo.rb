# frozen_string_literal: true

# What bin/demo runs: HTTP requests on one port go to the server that their path names.
#
#   DEMO_ROUTES="cats=127.0.0.1:9001,dogs=127.0.0.1:9002" proxymachine -c examples/demo.rb
#   curl http://127.0.0.1:5432/cats

DEMO_ROUTES = ENV.fetch("DEMO_ROUTES", "cats=127.0.0.1:9001,dogs=127.0.0.1:9002")
                 .split(",").to_h { |route| route.split("=", 2) }
LONGEST_FIRST_LINE = 2048

# A whole HTTP answer that the proxy gives by itself, without any server.
def answer(status, text)
  { close: "HTTP/1.1 #{status}\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}" }
end

proxy do |data|
  if data =~ %r{\A[A-Z]+ /(\w*)\S* HTTP/1\.[01]\r\n}
    remote = DEMO_ROUTES[$1]
    remote ? { remote: remote } : answer("404 Not Found", "There is no server for /#{$1}.\n")
  elsif data.include?("\n") || data.size > LONGEST_FIRST_LINE
    answer("400 Bad Request", "This is no HTTP request.\n")
  else
    { noop: true } # the first line is not all here yet
  end
end

proxy_connect_error { |remote| LOGGER.warn "Is the server at #{remote} running?" }
