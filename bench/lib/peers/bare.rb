# frozen_string_literal: true

module Bench
  # A bare relay: the lower bound for a proxy that copies. See bench/load/src/bin/bare.rs.
  class Bare < Peer
    PROGRAM = File.join(ROOT, "bench/load/target/release/bare")

    def supports?(config)
      config == "route"
    end

    def command(setting)
      [[PROGRAM, setting.port.to_s, setting.backend.to_s], {}]
    end
  end

  Peer.register("bare", Bare.new)
end
