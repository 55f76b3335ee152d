# frozen_string_literal: true

# Serves SSH, TLS and HTTP on one port, such as 443 behind a firewall that blocks all other ports.
#
#   PORTS_SSH=127.0.0.1:22 PORTS_TLS=127.0.0.1:8443 PORTS_HTTP=127.0.0.1:8080 proxymachine -c examples/ports.rb -p 443
#   ssh -p 443 localhost
#   curl --insecure https://localhost:443/
#   curl http://localhost:443/

SSH_SERVER = ENV.fetch("PORTS_SSH", "127.0.0.1:22")
TLS_SERVER = ENV.fetch("PORTS_TLS", "127.0.0.1:8443")
HTTP_SERVER = ENV.fetch("PORTS_HTTP", "127.0.0.1:8080")

# A client that sends nothing for two seconds expects the server to speak first. SSH clients may do so; TLS and HTTP
# clients never do. A longer timeout suits slow lines, a shorter one suits SSH clients that wait.
decision_timeout 2

proxy do |data|
  possible = {
    SSH_SERVER => ProxyMachine::SSH.banner(data),
    TLS_SERVER => ProxyMachine::TLS.client_hello(data),
    HTTP_SERVER => ProxyMachine::HTTP.request(data)
  }.compact
  remote, = possible.find { |_, answer| answer != :incomplete }
  remote || (possible.empty? ? :close : :noop)
end

# A client that sent an incomplete message is not waiting for the server.
proxy_timeout { |data| data.empty? ? SSH_SERVER : :close }
