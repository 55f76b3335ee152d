# frozen_string_literal: true

# Speaks SMTP until STARTTLS (RFC 3207), ends the client's TLS, and routes it by the requested server name (SNI) to a
# mail server that is reached by STARTTLS, too.
#
#   TLS_CERTIFICATES=/etc/proxymachine/tls/mx.pem TLS_AUTHORITIES=/etc/proxymachine/internal-ca.pem \
#     SMTP_ROUTES="mx.blue.test=10.0.0.1:25" proxymachine -c examples/smtp_starttls.rb -p 25
#   openssl s_client -starttls smtp -connect 127.0.0.1:25 -servername mx.blue.test

CERTIFICATES = certificates(*ENV.fetch("TLS_CERTIFICATES", "/etc/proxymachine/tls/*.pem").split(","))

# The exchange with the mail server in clear: its greeting, our name, and its consent to begin the handshake. HELO has a
# reply of one line.
TO_SERVER = authorities(*ENV.fetch("TLS_AUTHORITIES", "").split(","),
                        starttls: [[nil, "220 "], ["HELO proxy.test\r\n", "250 "], ["STARTTLS\r\n", "220 "]])

SMTP_ROUTES = ENV.fetch("SMTP_ROUTES", "mx.blue.test=127.0.0.1:2525").split(",").to_h { |route| route.split("=", 2) }

# The replies before the handshake. RFC 3207, section 4.1: without encryption, nothing else is answered.
REPLIES = {
  "EHLO" => "250-proxy.test\r\n250 STARTTLS\r\n", "HELO" => "250 proxy.test\r\n",
  "NOOP" => "250 OK\r\n", "RSET" => "250 OK\r\n"
}.freeze

proxy_accept { { noop: true, reply: "220 proxy.test ESMTP\r\n" } }

proxy do |data, client|
  if client.tls
    remote = SMTP_ROUTES[client.tls.sni]
    next remote ? { remote: remote, remote_tls: TO_SERVER } : { close: "550 No such mail server here\r\n" }
  end
  next :noop unless data.end_with?("\n")

  command = data.lines.last[/\A\w+/].to_s.upcase
  case command
  when "STARTTLS" then { noop: "220 Ready\r\n", tls: CERTIFICATES }
  when "QUIT"     then { close: "221 Bye\r\n" }
  else { noop: REPLIES.fetch(command, "530 Must issue a STARTTLS command first\r\n") }
  end
end
