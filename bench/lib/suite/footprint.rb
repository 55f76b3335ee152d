# frozen_string_literal: true

module Bench
  # Memory, idle costs, latency beside other load, and start time.
  module Footprint
    QUIET = "quiet"

    # The other load beside the echo.
    BESIDE = {
      QUIET => {},
      "block sleeps 100 ms, 20/s" => { load: { side_rate: 20, side_route: "slow" } },
      "thread burns the GVL" => { config: "burn" },
      "500 short/s" => { load: { side_rate: 500 } }
    }.freeze

    # The same for peers that support it.
    BESIDE_PEERS = { "haproxy" => [QUIET, "500 short/s"], "1.2.4" => BESIDE.keys }.freeze

    private

    def memory
      count = [4000, most].min
      [
        footprint("idle-memory", "Memory of #{count} established connections, after 64 B messages", 1000, count),
        footprint("burst-memory", "Memory of #{count} established connections, after 64 KiB each way", 1000, count,
                  load: { burst: 65_536 }, candidates: burst_candidates),
        footprint("undecided-memory", "Memory of #{count} connections without a decision (100 B)", 1500, count,
                  mode: :undecided)
      ]
    end

    # The peers do not echo this much within the minute that 4,000 connections have.
    def burst_candidates
      [Candidate.new(peer: "ours", fresh: true)]
    end

    def footprint(name, title, bytes, count, mode: :idle, load: {}, candidates: nil)
      candidates ||= against("haproxy", others: %w[nginx 1.2.4], fresh: true)
      Workload.new(name: name, title: title, mode: mode, load: { clients: count, **load }, rounds: @full ? 3 : 1,
                   metrics: Suite::METRICS[:memory], candidates: candidates,
                   goals: [Goal.new(metric: :bytes_each, plus: bytes)])
    end

    def idle
      [1000, most].uniq.map do |count|
        Workload.new(name: "idle-#{count}", title: "#{count} idle connections", mode: :idle, rounds: @full ? 3 : 1,
                     load: { clients: count, hold: @full ? 10 : 2 }, metrics: Suite::METRICS[:idle],
                     candidates: against("haproxy", others: %w[nginx 1.2.4], fresh: true))
      end
    end

    def latency
      candidates = BESIDE.map { |label, how| Candidate.new(peer: "ours", label: label, fresh: true, **how) }
      candidates += peers_beside if @everyone
      goals = (BESIDE.keys - [QUIET]).map { |label| goal(:p99_us, 3, QUIET, mine: label, plus: 1000) }
      Workload.new(name: "latency", title: "1 kB echo every 5 ms while something else goes on", mode: :paced,
                   load: { seconds: @full ? 10 : 2 }, metrics: Suite::METRICS[:latency], candidates: candidates,
                   goals: goals, pin: false, rounds: @full ? 3 : 1)
    end

    def peers_beside
      BESIDE_PEERS.flat_map do |peer, labels|
        labels.map { |label| Candidate.new(peer: peer, label: "#{peer}: #{label}", fresh: true, **BESIDE.fetch(label)) }
      end
    end

    def start
      Workload.new(name: "start", title: "Start to first accepted connection", mode: :start, pin: false,
                   metrics: Suite::METRICS[:start], goals: [goal(:ms, 1.2, "ruby -e 0", plus: 25)],
                   candidates: against("ruby -e 0", others: %w[1.2.4 haproxy], config: "close", fresh: true))
    end
  end
end
