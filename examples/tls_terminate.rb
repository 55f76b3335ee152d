# frozen_string_literal: true

# Ends TLS, and routes each client by its server name (SNI) and the protocol that it has chosen (ALPN). The backends
# receive plain HTTP.
#
#   TLS_CERTIFICATES="/etc/proxymachine/tls/*.pem" TLS_ROUTES="blue.test=10.0.0.1:80,blue.test/h2=10.0.0.1:8080" \
#     proxymachine -c examples/tls_terminate.rb -p 8443
#   curl --cacert blue.test.pem --connect-to ::127.0.0.1:8443 https://blue.test/

CERTIFICATES = certificates(*ENV.fetch("TLS_CERTIFICATES", "/etc/proxymachine/tls/*.pem").split(","),
                            alpn: %w[h2 http/1.1], strict: true)

TLS_ROUTES = ENV.fetch("TLS_ROUTES", "blue.test=127.0.0.1:8001").split(",").to_h { |route| route.split("=", 2) }

proxy do |_, client|
  # What the client has sent is the beginning of its handshake. Afterwards the block is called with the decrypted bytes.
  next { tls: CERTIFICATES } unless client.tls

  name = client.tls.sni
  TLS_ROUTES["#{name}/#{client.tls.alpn}"] || TLS_ROUTES[name] || :close
end
