# frozen_string_literal: true

module Bench
  # Costs per connection, message, MiB and decision.
  module Traffic
    ONE_REMOTE = "one remote"

    private

    def short
      { 4 => 1.15, 32 => 1.0, 256 => 1.0, 1000 => 1.0 }.map do |clients, factor|
        title = "Short connections, #{clients} clients, logging off"
        Workload.new(name: "short-#{clients}", title: title, mode: :short,
                     load: { clients: clients, seconds: @seconds }, metrics: Suite::METRICS[:cost],
                     candidates: against("haproxy", others: %w[haproxy-path nginx 1.2.4 bare direct]),
                     goals: [goal(:cpu_us, factor), *(quick if clients == 4)])
      end
    end

    # From connect to close.
    def quick
      %i[p50_us p99_us].map { |metric| goal(metric, 1.1) }
    end

    def balanced
      candidates = [Candidate.new(peer: "ours", config: "upstream"), Candidate.new(peer: "ours", label: ONE_REMOTE),
                    Candidate.new(peer: "haproxy", config: "upstream")]
      Workload.new(name: "upstream", title: "Short connections through an upstream of 8 with checks, 256 clients",
                   mode: :short, load: { clients: 256, seconds: @seconds, everywhere: true },
                   metrics: Suite::METRICS[:cost], candidates: candidates,
                   goals: [goal(:cpu_us, 1.02, ONE_REMOTE), goal(:cpu_us, 1.0)])
    end

    def logged
      Workload.new(name: "short-log", title: "Short connections, 256 clients, INFO log to a file", mode: :short,
                   load: { clients: 256, seconds: @seconds }, metrics: Suite::METRICS[:cost],
                   candidates: against("haproxy", "1.2.4", log: true),
                   goals: [goal(:cpu_us, 1.0), goal(:cpu_us, 0.6, "1.2.4")])
    end

    def messages
      [1, 64].map do |clients|
        goals = [goal(:cpu_us, 0.8)]
        goals += [goal(:p50_us, 1.05), goal(:p99_us, 1.05)] if clients == 1
        title = "64 B there and back, #{plural(clients, "kept connection")}"
        Workload.new(name: "message-#{clients}", title: title, mode: :message,
                     load: { clients: clients, seconds: @seconds }, metrics: Suite::METRICS[:cost],
                     candidates: against("haproxy", others: %w[haproxy-path nginx 1.2.4 bare direct]), goals: goals)
      end
    end

    def bulk
      %w[down up].product([1, 8]).map do |direction, clients|
        title = "Bulk #{direction}, #{plural(clients, "connection")}"
        Workload.new(name: "bulk-#{direction}-#{clients}", title: title, mode: :bulk,
                     load: { clients: clients, direction: direction, mib: @full ? 1024 : 512 }, goals: bulk_goals,
                     metrics: Suite::METRICS[:bulk], candidates: bulk_candidates)
      end
    end

    def bulk_candidates
      against("haproxy", "haproxy-splice", "bare-splice", "bare-splice-1m",
              others: %w[haproxy-splice-1m haproxy-path nginx 1.2.4 bare direct])
    end

    def bulk_goals
      [goal(:cpu_us, 0.65, "haproxy-splice"), goal(:cpu_us, 0.4), goal(:rate, 1.3, least: true),
       goal(:cpu_us, 1.3, "bare-splice"), goal(:cpu_us, 1.3, "bare-splice-1m")]
    end

    def decisions
      Workload.new(name: "decisions", title: "Connections that the block closes at once, 256 clients", mode: :short,
                   load: { clients: 256, seconds: @seconds, silent: true }, metrics: Suite::METRICS[:cost],
                   candidates: against("haproxy", others: ["1.2.4"], config: "close"))
    end

    def chunks
      Workload.new(name: "chunks", title: "Calls of the block alone: 256 undecided connections that go on sending",
                   mode: :chunks, load: { clients: 256, seconds: @seconds },
                   candidates: against(others: ["1.2.4"], config: "chunks"),
                   metrics: Suite::METRICS[:cost].slice(:cpu_us, :rate, :switches))
    end
  end
end
