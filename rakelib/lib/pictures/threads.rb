# frozen_string_literal: true

module Pictures
  # The threads of a process, as docs/images/threads.svg shows them.
  module Threads
    # Places are in cells of the grid: left, top, width, height.
    Box = Struct.new(:kind, :title, :lines, :place, :several, keyword_init: true)
    # `from` and `to`: a box and its side.
    Arrow = Struct.new(:from, :to, :label, :both, keyword_init: true)

    PROCESS = Box.new(kind: "frame", title: "one process (with --workers N, each worker)", place: [10, 0, 39, 29])

    BOXES = {
      clients: Box.new(kind: "outside", title: "clients", lines: ["first bytes, then all"], place: [0, 3, 8, 4]),
      backends: Box.new(kind: "outside", title: "backends", lines: ["what blocks name"], place: [0, 9, 8, 4]),
      http: Box.new(kind: "outside", title: "HTTP clients", lines: ["browser, top,", "Prometheus"],
                    place: [0, 23, 8, 5]),
      engine: Box.new(kind: "native", title: "engine threads, 1 to 4", several: true, place: [12, 3, 12, 11],
                      lines: ["A tokio runtime each. All accept", "from the same sockets. A connection",
                              "stays on its thread:", "accept, decide, dial, relay, close.", "",
                              "They never touch a Ruby object", "and never wait for Ruby."]),
      mailbox: Box.new(kind: "queue", title: "mailbox", lines: ["log lines and calls,", "one wake-up a batch"],
                       place: [26.8, 3, 7.6, 5]),
      replies: Box.new(kind: "queue", title: "replies", lines: ["verdicts,", "one task a batch"],
                       place: [26.8, 9, 7.6, 5]),
      ruby: Box.new(kind: "ruby", title: "Ruby thread", place: [37, 3, 11, 11],
                    lines: ["The caller of ProxyMachine.run.", "Calls blocks and callbacks,",
                            "one at a time; writes LOGGER;", "hears signals.", "", "Waits without the GVL."]),
      pool: Box.new(kind: "ruby", title: "pool threads (threads N)", several: true, place: [37, 17, 11, 5],
                    lines: ["Call the blocks that decide,", "N at a time."]),
      resolver: Box.new(kind: "native", title: "resolver threads", several: true, place: [12, 17, 7, 5],
                        lines: ["getaddrinfo(3)"]),
      access: Box.new(kind: "native", title: "log thread", lines: ["writes the", "access log"],
                      place: [20.5, 17, 6, 5]),
      admin: Box.new(kind: "native", title: "admin thread", place: [12, 23, 14.5, 5],
                     lines: ["A tokio runtime of its own. Reads the", "counters, asks no other thread."])
    }.freeze

    ARROWS = [
      Arrow.new(from: %i[clients right], to: %i[engine left], both: true),
      Arrow.new(from: %i[engine left], to: %i[backends right], both: true),
      Arrow.new(from: %i[engine right], to: %i[mailbox left], label: "outbox"),
      Arrow.new(from: %i[mailbox right], to: %i[ruby left]),
      Arrow.new(from: %i[ruby left], to: %i[replies right]),
      Arrow.new(from: %i[replies left], to: %i[engine right]),
      Arrow.new(from: %i[ruby bottom], to: %i[pool top], label: "calls of blocks"),
      Arrow.new(from: %i[pool left], to: %i[replies bottom]),
      Arrow.new(from: %i[engine bottom], to: %i[resolver top], label: "names", both: true),
      Arrow.new(from: %i[engine bottom], to: %i[access top], label: "lines"),
      Arrow.new(from: %i[http right], to: %i[admin left], both: true)
    ].freeze
  end
end
