# frozen_string_literal: true

# Lets in only clients with a certificate that our authority has signed, and routes them by its organizational unit.
#
#   TLS_CERTIFICATES=server.pem TLS_CLIENTS=clients-ca.pem TEAMS="blue=10.0.0.1:80,green=10.0.0.2:80" \
#     proxymachine -c examples/client_certificates.rb -p 8443
#   curl --cert alice.pem --cacert server-ca.pem --connect-to ::127.0.0.1:8443 https://blue.test/

CERTIFICATES = certificates(*ENV.fetch("TLS_CERTIFICATES", "/etc/proxymachine/tls/*.pem").split(","),
                            client: authorities(ENV.fetch("TLS_CLIENTS", "/etc/proxymachine/clients-ca.pem")))

TEAMS = ENV.fetch("TEAMS", "blue=127.0.0.1:8001").split(",").to_h { |route| route.split("=", 2) }

# Returns the organizational unit (OU) in the subject of a certificate, or nil.
def team(certificate)
  _, unit = certificate.subject.to_a.find { |field, _| field == "OU" }
  unit
end

proxy do |_, client|
  next { tls: CERTIFICATES } unless client.tls

  TEAMS[team(client.tls.certificate)] || :close
end
