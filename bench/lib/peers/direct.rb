# frozen_string_literal: true

module Bench
  # No proxy: the limit of the load generator and the kernel.
  class Direct < Peer
    # Stands for a process that does not exist.
    NoProcess = Struct.new(:pid) do
      def stop; end
    end

    def supports?(config)
      %w[route crowd].include?(config)
    end

    def start(_setting, _prefix)
      NoProcess.new(0)
    end
  end

  Peer.register("direct", Direct.new)
end
