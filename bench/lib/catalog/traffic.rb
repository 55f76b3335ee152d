# frozen_string_literal: true

module Bench
  # What costs per connection, per message, per MiB, per decision.
  module Traffic
    private

    def short
      { 4 => 1.15, 32 => 1.0, 256 => 1.0, 1000 => 1.05 }.map do |clients, factor|
        Work.new(name: "short-#{clients}", title: "Short connections, #{clients} clients, logging off", mode: :short,
                 load: { clients: clients, seconds: @seconds }, metrics: Catalog::METRICS[:cost],
                 contenders: against("haproxy", others: %w[nginx 1.2.4 bare direct]), goals: [goal(:cpu_us, factor)])
      end
    end

    def logged
      Work.new(name: "short-log", title: "Short connections, 256 clients, INFO log to a file", mode: :short,
               load: { clients: 256, seconds: @seconds }, metrics: Catalog::METRICS[:cost],
               contenders: against("1.2.4", log: true), goals: [goal(:cpu_us, 0.6, "1.2.4")])
    end

    def messages
      [1, 64].map do |clients|
        goals = [goal(:cpu_us, 0.95)]
        goals += [goal(:p50_us, 1.05), goal(:p99_us, 1.05)] if clients == 1
        title = "64 B there and back, #{plural(clients, "kept connection")}"
        Work.new(name: "message-#{clients}", title: title, mode: :message,
                 load: { clients: clients, seconds: @seconds }, metrics: Catalog::METRICS[:cost],
                 contenders: against("haproxy", others: %w[nginx 1.2.4 bare direct]), goals: goals)
      end
    end

    def bulk
      %w[down up].product([1, 8]).map do |direction, clients|
        title = "Bulk #{direction}, #{plural(clients, "connection")}"
        Work.new(name: "bulk-#{direction}-#{clients}", title: title, mode: :bulk,
                 load: { clients: clients, direction: direction, mib: @full ? 1024 : 512 }, goals: bulk_goals,
                 metrics: Catalog::METRICS[:bulk], contenders: bulk_contenders)
      end
    end

    def bulk_contenders
      against("haproxy", "haproxy-splice", others: %w[haproxy-splice-1m nginx 1.2.4 bare direct])
    end

    def bulk_goals
      [goal(:cpu_us, 0.65, "haproxy-splice"), goal(:cpu_us, 0.4), goal(:rate, 1.3, least: true)]
    end

    def decisions
      Work.new(name: "decisions", title: "Connections that the block closes at once, 256 clients", mode: :short,
               load: { clients: 256, seconds: @seconds, silent: true }, metrics: Catalog::METRICS[:cost],
               contenders: against("haproxy", others: ["1.2.4"], config: "close"))
    end

    def chunks
      Work.new(name: "chunks", title: "Calls of the block alone: 256 undecided connections that go on sending",
               mode: :chunks, load: { clients: 256, seconds: @seconds },
               contenders: against(others: ["1.2.4"], config: "chunks"),
               metrics: Catalog::METRICS[:cost].slice(:cpu_us, :rate, :switches))
    end
  end
end
