# frozen_string_literal: true

module Bench
  # An empty Ruby program: the lower bound for the start of a Ruby program.
  class BareRuby < Peer
    def supports?(config)
      config == "close"
    end

    # The program has started when it ends.
    def finished
      true
    end

    def command(_setting)
      [["ruby", "-e", "0"], {}]
    end
  end

  Peer.register("ruby -e 0", BareRuby.new)
end
