# frozen_string_literal: true

module Bench
  # Ruby that does nothing: what no program in Ruby can start faster than.
  class BareRuby < Peer
    def plays?(config)
      config == "close"
    end

    # Its end is the event to wait for.
    def finished
      true
    end

    def command(_setting)
      [["ruby", "-e", "0"], {}]
    end
  end

  Peer.register("ruby -e 0", BareRuby.new)
end
