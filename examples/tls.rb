# frozen_string_literal: true

# Routes each TLS client by the requested server name (SNI) and the offered protocols (ALPN). The proxy decrypts
# nothing; keys and certificates stay on the backends.
#
#   TLS_ROUTES="blue.test=10.0.0.1:443,blue.test/h2=10.0.0.2:443,*/acme-tls/1=10.0.0.3:4430" \
#     proxymachine -c examples/tls.rb -p 8443
#   curl --insecure --connect-to ::127.0.0.1:8443 https://blue.test/
#
# The order of precedence is "NAME/PROTOCOL", "*/PROTOCOL", "NAME", "*". Among several protocols, the client's order of
# preference decides.

TLS_ROUTES = ENV.fetch("TLS_ROUTES", "blue.test=127.0.0.1:8444,green.test=127.0.0.1:8445")
                .split(",").to_h { |route| route.split("=", 2) }

# The fatal TLS alert unrecognized_name, which a TLS server sends for a name that it does not have.
UNRECOGNIZED_NAME = "\x15\x03\x01\x00\x02\x02\x70".b

proxy do |data|
  case hello = ProxyMachine::TLS.client_hello(data)
  when :incomplete then :noop
  when nil         then :close
  else
    name = hello.sni || "*"
    protocols = hello.alpn || []
    keys = protocols.map { |protocol| "#{name}/#{protocol}" } + protocols.map { |protocol| "*/#{protocol}" }
    TLS_ROUTES.values_at(*keys, name, "*").compact.first || { close: UNRECOGNIZED_NAME }
  end
end
