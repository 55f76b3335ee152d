# frozen_string_literal: true

module Bench
  # A bare relay. bench/load/src/bin/bare.rs is the lower bound for a proxy that copies, bare_splice.rs that for bulk.
  class Bare < Peer
    # program:: its name in bench/load/src/bin
    # arguments:: after the two ports
    def initialize(program, *arguments)
      super()
      @program = File.join(ROOT, "bench/load/target/release", program)
      @arguments = arguments.map(&:to_s)
    end

    def supports?(config)
      config == "route"
    end

    def command(setting)
      [[@program, setting.port.to_s, setting.backend.to_s, *@arguments], {}]
    end
  end

  Peer.register("bare", Bare.new("bare"))
  Peer.register("bare-splice", Bare.new("bare_splice", 64 << 10)) # The default of Linux: pipe(7).
  Peer.register("bare-splice-1m", Bare.new("bare_splice", 1 << 20))
end
