# frozen_string_literal: true

module Bench
  # What it costs to be there: memory, wake-ups, waiting, starting.
  module Presence
    QUIET = "quiet"

    # What goes on beside the echo.
    BESIDE = {
      QUIET => {},
      "block sleeps 100 ms, 20/s" => { load: { side_rate: 20, side_route: "slow" } },
      "thread burns the GVL" => { config: "burn" },
      "500 short/s" => { load: { side_rate: 500 } }
    }.freeze

    # What peers can be asked for, too.
    BESIDE_PEERS = { "haproxy" => [QUIET, "500 short/s"], "1.2.4" => BESIDE.keys }.freeze

    private

    def memory
      count = [4000, most].min
      [
        presence("idle-memory", "Memory of #{count} established connections, after 64 B messages", 1500, count),
        presence("burst-memory", "Memory of #{count} established connections, after 64 KiB each way", 1500, count,
                 load: { burst: 65_536 }, contenders: burst_contenders),
        presence("undecided-memory", "Memory of #{count} connections without a decision (100 B)", 2000, count,
                 mode: :undecided)
      ]
    end

    # The peers do not echo that within the minute that the load generator gives 4,000 connections.
    def burst_contenders
      [Contender.new(peer: "ours", fresh: true)]
    end

    def presence(name, title, bytes, count, mode: :idle, load: {}, contenders: nil)
      contenders ||= against("haproxy", others: %w[nginx 1.2.4], fresh: true)
      Work.new(name: name, title: title, mode: mode, load: { clients: count, **load }, rounds: @full ? 3 : 1,
               metrics: Catalog::METRICS[:memory], contenders: contenders,
               goals: [Goal.new(metric: :bytes_each, plus: bytes)])
    end

    def idle
      [1000, most].uniq.map do |count|
        Work.new(name: "idle-#{count}", title: "#{count} idle connections", mode: :idle, rounds: @full ? 3 : 1,
                 load: { clients: count, hold: @full ? 10 : 2 }, metrics: Catalog::METRICS[:idle],
                 contenders: against("haproxy", others: %w[nginx 1.2.4], fresh: true))
      end
    end

    def latency
      contenders = BESIDE.map { |label, how| Contender.new(peer: "ours", label: label, fresh: true, **how) }
      contenders += peers_beside if @everyone
      goals = (BESIDE.keys - [QUIET]).map { |label| goal(:p99_us, 3, QUIET, mine: label, plus: 1000) }
      Work.new(name: "latency", title: "1 kB echo every 5 ms while something else goes on", mode: :paced,
               load: { seconds: @full ? 10 : 2 }, metrics: Catalog::METRICS[:latency], contenders: contenders,
               goals: goals, pin: false, rounds: @full ? 3 : 1)
    end

    def peers_beside
      BESIDE_PEERS.flat_map do |peer, labels|
        labels.map { |label| Contender.new(peer: peer, label: "#{peer}: #{label}", fresh: true, **BESIDE.fetch(label)) }
      end
    end

    def start
      Work.new(name: "start", title: "Start to first accepted connection", mode: :start, pin: false,
               metrics: Catalog::METRICS[:start], goals: [goal(:ms, 1.5, "ruby -e 0", plus: 50)],
               contenders: against("ruby -e 0", others: %w[1.2.4 haproxy], config: "close", fresh: true))
    end
  end
end
