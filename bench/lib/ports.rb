# frozen_string_literal: true

require "socket"

module Bench
  # Ports on the loopback.
  module Ports
    LISTEN = "0A"

    module_function

    # A free port outside the ephemeral range: connections of an earlier run may be in
    # TIME_WAIT there.
    def free
      lowest, = File.read("/proc/sys/net/ipv4/ip_local_port_range").split.map(&:to_i)
      candidates = (10_000...[lowest, 10_200].max).to_a
      candidates = (20_000..60_000).to_a if candidates.size < 1000
      100.times do
        port = candidates.sample
        TCPServer.new("127.0.0.1", port).close
        return port
      rescue Errno::EADDRINUSE
        next
      end
      raise Error, "found no free port"
    end

    # Reads the socket table instead of connecting, because a connection would be counted.
    def listening?(port)
      wanted = format(":%04X", port)
      File.foreach("/proc/net/tcp").any? do |line|
        _, local, _, state = line.split
        state == LISTEN && local.end_with?(wanted)
      end
    end
  end
end
