# frozen_string_literal: true

require_relative "bare"

module Bench
  # A bare relay that copies nothing: the lower bound for bulk. See bench/load/src/bin/bare_splice.rs.
  class BareSplice < Bare
    PROGRAM = File.join(ROOT, "bench/load/target/release/bare_splice")

    # size:: bytes of a pipe
    def initialize(size)
      super()
      @size = size
    end

    def command(setting)
      [[PROGRAM, setting.port.to_s, setting.backend.to_s, @size.to_s], {}]
    end
  end

  Peer.register("bare-splice", BareSplice.new(64 << 10)) # The default of Linux: pipe(7).
  Peer.register("bare-splice-1m", BareSplice.new(1 << 20))
end
