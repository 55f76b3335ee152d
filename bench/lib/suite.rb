# frozen_string_literal: true

require_relative "suite/traffic"
require_relative "suite/footprint"
require_relative "suite/encrypted"

module Bench
  # All workloads, in the order of the report. `scale` is :quick or :full.
  class Suite
    include Traffic
    include Footprint
    include Encrypted

    # The figures of each kind of workload, with their headings. Ratios are of the first figure.
    METRICS = {
      cost: { cpu_us: "CPU us", rate: "per s", p50_us: "p50 us", p99_us: "p99 us", switches: "switches",
              spare: "load idle" },
      bulk: { cpu_us: "CPU us/MiB", rate: "MiB/s", cpu_share: "CPU share", spare: "load idle" },
      memory: { bytes_each: "bytes each", bytes_each_marginal: "bytes each, second half", pss_each: "Pss each" },
      idle: { cpu_us_per_s: "CPU us/s", wakeups_per_s: "wake-ups/s", bytes_each: "bytes each" },
      latency: { p99_us: "p99 us", p50_us: "p50 us", max_us: "max us", late: "late", side_p50_us: "beside p50 us" },
      start: { ms: "ms" }
    }.freeze

    # everyone:: whether a quick run measures all peers, too
    def initialize(scale, everyone: false)
      @full = scale == :full
      @everyone = @full || everyone
      @seconds = @full ? 2 : 0.5
    end

    def workloads
      [*short, balanced, logged, *messages, *bulk, *memory, latency, decisions, chunks, *idle, start, *encrypted]
    end

    private

    def plural(count, word)
      "#{count} #{word}#{"s" unless count == 1}"
    end

    # The maximum of connections: each takes two descriptors of the proxy.
    def most
      (Process.getrlimit(:NOFILE).first / 2) - 80
    end

    # This tree, the peers that a goal names, and in a full run the others.
    def against(*peers, others: [], **setting)
      ["ours", *peers, *(others if @everyone)].map { |peer| Candidate.new(peer: peer, **setting) }
    end

    def goal(metric, factor, other = "haproxy", **more)
      Goal.new(metric: metric, factor: factor, other: other, **more)
    end
  end
end
