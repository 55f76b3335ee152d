# frozen_string_literal: true

module Bench
  # Costs of TLS that ends at the proxy: handshakes, bulk, memory, and the latency of others beside handshakes.
  module Encrypted
    TLS = { tls: "full" }.freeze
    BESIDE_RSA = "300 RSA handshakes/s"

    private

    def encrypted
      [handshake("full", 0.70), handshake("resumed", 0.85), *encrypted_bulk, encrypted_memory, beside_handshakes]
    end

    def handshake(kind, factor)
      Workload.new(name: "tls-#{kind}", title: "TLS 1.3 handshake (#{kind}, ECDSA P-256), 100 B each way, 64 clients",
                   mode: :short, load: { clients: 64, seconds: @seconds, tls: kind }, metrics: Suite::METRICS[:cost],
                   candidates: terminating, goals: [goal(:cpu_us, factor)])
    end

    def encrypted_bulk
      %w[down up].product([1, 8]).map do |direction, clients|
        Workload.new(name: "tls-bulk-#{direction}-#{clients}", mode: :bulk, metrics: Suite::METRICS[:bulk],
                     title: "TLS bulk #{direction}, #{plural(clients, "connection")}, AES-128-GCM",
                     load: { clients: clients, direction: direction, mib: @full ? 512 : 256, **TLS },
                     candidates: terminating, goals: [goal(:cpu_us, 0.9), goal(:rate, 1.1, least: true)])
      end
    end

    def encrypted_memory
      count = [4000, most].min
      footprint("tls-idle-memory", "Memory of #{count} established TLS connections, after 64 B messages", 6144, count,
                load: TLS, candidates: terminating(fresh: true))
    end

    def beside_handshakes
      beside = { config: "tls-rsa", load: { side_rate: 300, side_tls: "full" } }
      candidates = [Candidate.new(peer: "ours", label: Footprint::QUIET, fresh: true, config: "tls-rsa"),
                    Candidate.new(peer: "ours", label: BESIDE_RSA, fresh: true, **beside)]
      Workload.new(name: "tls-latency", title: "1 kB echo every 5 ms on a plain connection beside full handshakes",
                   mode: :paced, load: { seconds: @full ? 10 : 2 }, metrics: Suite::METRICS[:latency],
                   candidates: candidates, pin: false, rounds: @full ? 3 : 1,
                   goals: [goal(:p99_us, 3, Footprint::QUIET, mine: BESIDE_RSA, plus: 1000)])
    end

    def terminating(**setting)
      against("haproxy", "nginx", others: %w[haproxy-path], config: "tls", **setting)
    end
  end
end
