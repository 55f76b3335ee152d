# frozen_string_literal: true

module Bench
  # Pins the proxy to one processor and the load to another, so that they do not disturb each other.
  class CpuPinning
    def initialize(pin: true)
      allowed = File.read("/proc/self/status")[/^Cpus_allowed_list:\s*(\S+)/, 1].split(",").flat_map do |range|
        first, last = range.split("-").map(&:to_i)
        (first..(last || first)).to_a
      end
      @proxy, @load = allowed if pin && allowed.size > 1
    end

    def pinned?
      !@proxy.nil?
    end

    def proxy
      prefix(@proxy)
    end

    def load
      prefix(@load)
    end

    def to_s
      pinned? ? "proxy on processor #{@proxy}, load and backend on processor #{@load}" : "not pinned"
    end

    private

    def prefix(number)
      number ? ["taskset", "-c", number.to_s] : []
    end
  end
end
