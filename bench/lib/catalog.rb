# frozen_string_literal: true

require_relative "catalog/traffic"
require_relative "catalog/presence"

module Bench
  # All works, in the order of the report. `scale` is how long: :quick or :full.
  class Catalog
    include Traffic
    include Presence

    # The figures of each kind of work, with their headings. The first is the one that ratios are made of.
    METRICS = {
      cost: { cpu_us: "CPU us", rate: "per s", p50_us: "p50 us", p99_us: "p99 us", switches: "switches",
              spare: "load idle" },
      bulk: { cpu_us: "CPU us/MiB", rate: "MiB/s", cpu_share: "CPU share", spare: "load idle" },
      memory: { bytes_each: "bytes each", bytes_each_marginal: "bytes each, second half", pss_each: "Pss each" },
      idle: { cpu_us_per_s: "CPU us/s", wakeups_per_s: "wake-ups/s", bytes_each: "bytes each" },
      latency: { p99_us: "p99 us", p50_us: "p50 us", max_us: "max us", late: "late", side_p50_us: "beside p50 us" },
      start: { ms: "ms" }
    }.freeze

    # With `everyone` all peers of a work take part in a quick run, too.
    def initialize(scale, everyone: false)
      @full = scale == :full
      @everyone = @full || everyone
      @seconds = @full ? 2 : 0.5
    end

    def works
      [*short, logged, *messages, *bulk, *memory, latency, decisions, chunks, *idle, start]
    end

    private

    def plural(count, word)
      "#{count} #{word}#{"s" unless count == 1}"
    end

    # Connections through a proxy take it two descriptors each.
    def most
      (Process.getrlimit(:NOFILE).first / 2) - 80
    end

    # Ours, those that a goal names, and others when there is time.
    def against(*peers, others: [], **setting)
      ["ours", *peers, *(others if @everyone)].map { |peer| Contender.new(peer: peer, **setting) }
    end

    def goal(metric, factor, other = "haproxy", **more)
      Goal.new(metric: metric, factor: factor, other: other, **more)
    end
  end
end
