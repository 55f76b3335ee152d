# frozen_string_literal: true

module Bench
  # No proxy at all: what the load generator and the kernel can do.
  class Direct < Peer
    # Nothing to start, nothing to stop.
    Nobody = Struct.new(:pid) do
      def stop; end
    end

    def plays?(config)
      config == "route"
    end

    def start(_setting, _prefix)
      Nobody.new(0)
    end
  end

  Peer.register("direct", Direct.new)
end
