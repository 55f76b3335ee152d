# frozen_string_literal: true

# Routes a percentage of the clients to a new version of the backend. The client's address alone selects the version, so
# a client gets the same version each time, after a restart, and on each of several proxies.
#
#   CANARY=10.0.0.2:80 STABLE=10.0.0.1:80 CANARY_PERCENT=5 proxymachine -c examples/canary.rb
#   curl http://127.0.0.1:5432/

require "digest"

CANARY = ENV.fetch("CANARY", "127.0.0.1:8002")
STABLE = ENV.fetch("STABLE", "127.0.0.1:8001")
PERCENT = Float(ENV.fetch("CANARY_PERCENT", "5"))

# Another value selects other clients. With the same value, a higher percentage adds clients and moves none back.
TURN = ENV.fetch("CANARY_TURN", "first")

# Spreads addresses evenly over 0...100, also similar ones. (Ruby's own hash differs in each process.)
def position(address)
  Digest::SHA256.digest("#{TURN} #{address}").unpack1("N") * 100.0 / (2**32)
end

# The decision needs no bytes from the client, so any protocol works. If the canary cannot be reached, the stable
# version serves its clients.
proxy_accept do |client|
  position(client.ip) < PERCENT ? { remote: [CANARY, STABLE] } : STABLE
end
proxy { STABLE } # Never called, because proxy_accept always decides, but a config must have a proxy block.
