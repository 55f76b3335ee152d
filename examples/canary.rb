# frozen_string_literal: true

# Sends some percent of the clients to a new version of the server. Whether a client is one of them hangs on its address
# alone: it gets the same version each time, after a restart and behind each of several proxies, too.
#
#   CANARY=10.0.0.2:80 STABLE=10.0.0.1:80 CANARY_PERCENT=5 proxymachine -c examples/canary.rb
#   curl http://127.0.0.1:5432/

require "digest"

CANARY = ENV.fetch("CANARY", "127.0.0.1:8002")
STABLE = ENV.fetch("STABLE", "127.0.0.1:8001")
PERCENT = Float(ENV.fetch("CANARY_PERCENT", "5"))

# Another word makes it other clients' turn. As long as it stays, a higher percentage adds clients and moves none back.
TURN = ENV.fetch("CANARY_TURN", "first")

# Evenly spread over 0...100 however alike the addresses are. (Ruby's own hash differs in each process.)
def position(address)
  Digest::SHA256.digest("#{TURN} #{address}").unpack1("N") * 100.0 / (2**32)
end

# The address alone decides, so nothing that the client sends need be awaited: any protocol will do. Should the canary
# not answer, the others serve its clients.
proxy_accept do |client|
  position(client.ip) < PERCENT ? { remote: [CANARY, STABLE] } : STABLE
end
proxy { STABLE } # It comes to nobody's turn, but a config must have one.
