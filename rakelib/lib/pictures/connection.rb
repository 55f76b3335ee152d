# frozen_string_literal: true

module Pictures
  # The steps of a connection, as docs/images/connection.svg shows them.
  module Connection
    # `ends` has one or two columns: a heading, and codes with their meaning in few words.
    Step = Struct.new(:name, :threads, :acts, :loop, :ends, keyword_init: true)

    STEPS = [
      Step.new(name: "accept", threads: ["engine thread"], ends: {},
               acts: ["Takes a slot of max_connections, then calls accept4(2).",
                      "While all slots are taken, clients wait in the kernel's queue.",
                      "Closes a client whose source is over a limit; after a PROXY header, if one is expected."]),
      Step.new(name: "decide", threads: ["engine thread", "Ruby thread or pool thread"], loop: "noop: read more",
               acts: ["The engine reads the PROXY header of a trusted load balancer, then the client's first bytes.",
                      "The proxy block is called for each chunk until its answer is a backend or :close."],
               ends: { "client or block" => { "CR" => "client left", "PR" => ":close",
                                              "XR" => "exception", "AR" => "no valid answer",
                                              "PP" => "PROXY header refused", "CT" => "TLS handshake failed",
                                              "PL" => "over the answer's :limit" },
                       "limit, drain or defect" => { "RL" => "over a limit by source", "cR" => "decision_timeout",
                                                     "cT" => "tls_handshake_timeout", "RR" => "max_preread",
                                                     "KR" => "drain", "IR" => "defect" } }),
      Step.new(name: "dial", threads: ["engine thread", "resolver thread", "Ruby thread"],
               loop: "next backend, next round",
               acts: ["Resolves the name, races its addresses (RFC 8305), sends the first bytes.",
                      "After the last round, proxy_connect_error may name another backend."],
               ends: { "client or backend" => { "CC" => "client left", "SC" => "no backend connected",
                                                "sC" => "last attempt timed out", "CQ" => "client left the queue",
                                                "sQ" => "no room in the upstream" },
                       "limit, drain or defect" => { "RC" => "out of descriptors or ports", "KC" => "drain",
                                                     "IC" => "defect" } }),
      Step.new(name: "relay", threads: ["engine thread"], loop: "bytes, both ways",
               acts: ["Copies both ways, splices bulk, holds no buffer while idle. Ruby is not asked.",
                      "inactivity_timeout runs until the backend's first byte, idle_timeout always."],
               ends: { "before the backend's first byte" => {
                         "CH" => "client left", "SH" => "backend closed", "sH" => "inactivity_timeout",
                         "DH" => "a check found it down", "cH" => "idle_timeout", "KH" => "drain", "IH" => "defect"
                       },
                       "after it" => {
                         "--" => "answered and ended", "CD" => "client reset", "SD" => "backend reset",
                         "sD" => "backend fell silent", "DD" => "a check found it down", "cD" => "idle_timeout",
                         "KD" => "drain", "ID" => "defect"
                       } }),
      Step.new(name: "close", threads: ["engine thread", "Ruby thread"], ends: {},
               acts: ["The Observer gets the one End: log line and counters. A callback may send last words.",
                      "The client's socket lingers until the last bytes have arrived. Then the slot is free."])
    ].freeze

    # Raises unless the steps have exactly these termination codes.
    def self.compare(codes)
      drawn = STEPS.flat_map { |step| step.ends.values.flat_map(&:keys) }
      differing = (drawn | codes) - (drawn & codes)
      raise KeyError, "codes only in the diagram or only in the engine: #{differing.join(", ")}" if differing.any?
    end
  end
end
