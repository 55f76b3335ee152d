# frozen_string_literal: true

# SSH, TLS and HTTP on one port, such as 443 where a firewall lets nothing else through.
#
#   PORTS_SSH=127.0.0.1:22 PORTS_TLS=127.0.0.1:8443 PORTS_HTTP=127.0.0.1:8080 proxymachine -c examples/ports.rb -p 443
#   ssh -p 443 localhost
#   curl --insecure https://localhost:443/
#   curl http://localhost:443/

SSH_SERVER = ENV.fetch("PORTS_SSH", "127.0.0.1:22")
TLS_SERVER = ENV.fetch("PORTS_TLS", "127.0.0.1:8443")
HTTP_SERVER = ENV.fetch("PORTS_HTTP", "127.0.0.1:8080")

# Who says nothing for two seconds waits for the server to speak first, as SSH clients may and the others never do.
# A longer time is kinder to clients on slow lines, a shorter one to those that wait.
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

# Who has begun something and not gone on is no such client.
proxy_timeout { |data| data.empty? ? SSH_SERVER : :close }
