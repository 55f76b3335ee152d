# frozen_string_literal: true

# Ends TLS for the names that have a certificate here, and passes the other names through, still encrypted.
#
#   TLS_CERTIFICATES="/etc/proxymachine/tls/*.pem" TLS_ENDS="blue.test=10.0.0.1:80" \
#     TLS_PASSES="green.test=10.0.0.2:443" proxymachine -c examples/tls_or_passthrough.rb -p 8443
#   curl --insecure --connect-to ::127.0.0.1:8443 https://green.test/

def routes(variable, default)
  ENV.fetch(variable, default).split(",").to_h { |route| route.split("=", 2) }
end

CERTIFICATES = certificates(*ENV.fetch("TLS_CERTIFICATES", "/etc/proxymachine/tls/*.pem").split(","))
ENDS = routes("TLS_ENDS", "blue.test=127.0.0.1:8001")
PASSES = routes("TLS_PASSES", "green.test=127.0.0.1:8444")

# The fatal TLS alert unrecognized_name, which a TLS server sends for a name that it does not have.
UNRECOGNIZED_NAME = "\x15\x03\x01\x00\x02\x02\x70".b

proxy do |data, client|
  next ENDS.fetch(client.tls.sni) if client.tls # the decrypted bytes

  case hello = ProxyMachine::TLS.client_hello(data)
  when :incomplete then :noop
  when nil         then :close
  else
    next { tls: CERTIFICATES } if ENDS.key?(hello.sni)

    PASSES[hello.sni] || { close: UNRECOGNIZED_NAME }
  end
end
