# frozen_string_literal: true

# Sends each TLS client to the server for the name that it asks for (SNI) and the protocols that it offers (ALPN).
# Nothing is decrypted: keys and certificates stay with the servers.
#
#   TLS_ROUTES="blue.test=10.0.0.1:443,blue.test/h2=10.0.0.2:443,*/acme-tls/1=10.0.0.3:4430" \
#     proxymachine -c examples/tls.rb -p 8443
#   curl --insecure --connect-to ::127.0.0.1:8443 https://blue.test/
#
# "NAME/PROTOCOL" goes before "*/PROTOCOL", that before "NAME", and that before "*". Of several protocols, the one that
# the client would rather have counts first.

TLS_ROUTES = ENV.fetch("TLS_ROUTES", "blue.test=127.0.0.1:8444,green.test=127.0.0.1:8445")
                .split(",").to_h { |route| route.split("=", 2) }

# What a TLS server says to a client that asks for a name which it does not have: alert, fatal, unrecognized_name.
UNRECOGNIZED_NAME = "\x15\x03\x01\x00\x02\x02\x70".b

proxy do |data|
  case hello = ProxyMachine::TLS.client_hello(data)
  when :incomplete then :noop
  when nil         then :close
  else
    name = hello.sni&.downcase || "*"
    protocols = hello.alpn || []
    keys = protocols.map { |protocol| "#{name}/#{protocol}" } + protocols.map { |protocol| "*/#{protocol}" }
    TLS_ROUTES.values_at(*keys, name, "*").compact.first || { close: UNRECOGNIZED_NAME }
  end
end
