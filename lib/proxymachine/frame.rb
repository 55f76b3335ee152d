# frozen_string_literal: true

require_relative "units"

class ProxyMachine
  # One picture of `proxymachine top`: lines of plain text, the most important first, cut to the terminal.
  # @api private
  class Frame
    BARS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"].freeze
    LATENCIES = { "queue_wait" => "waiting for Ruby", "block_time" => "in the block", "connect_time" => "connecting",
                  "first_byte" => "to the first byte" }.freeze
    private_constant :BARS, :LATENCIES

    # @param status [Hash] see Status#fetch
    def initialize(status)
      @status = status
    end

    # @return [Array<String>] at most +height+ lines of at most +width+ characters
    def lines(width, height)
      [head, "", *flows, *latencies, *listeners, *ends, *remotes, *slow]
        .first(height).map { |line| printable(line)[0, width].rstrip }
    end

    private

    def head
      program = @status["program"]
      "#{program["name"]}: #{@status["state"]}, ProxyMachine #{program["version"]}, Ruby #{program["ruby"]}, " \
        "pid #{program["pid"]}, up #{Units.age(program["uptime"])}"
    end

    def flows
      connections = @status["connections"]
      limit = connections["limit"] ? " of #{Units.number(connections["limit"])}" : ""
      peak = "peak #{Units.number(connections["max"])}#{limit}"
      [row("connections", Units.number(connections["current"]), peak, curve("current")),
       flow("accepted/s", "accepted", connections["total"]), *counted_flows]
    end

    def counted_flows
      totals = @status["totals"] or return []
      errors = totals["ends"].select { |ended| ended["is_error"] } +
               totals["decisions"].select { |decision| %w[raised invalid].include?(decision["name"]) }
      [flow("decisions/s", "decisions", totals["decisions"].sum { |decision| decision["count"] }),
       flow("to backends/s", "bytes_in", totals["bytes_in"], :bytes),
       flow("to clients/s", "bytes_out", totals["bytes_out"], :bytes),
       flow("errors/s", "errors", errors.sum { |ended| ended["count"] })]
    end

    def flow(label, name, total, unit = nil)
      now = @status.dig("rates", name)
      row(label, Units.public_send(unit || :rate, now), "#{Units.public_send(unit || :number, total)} in all",
          curve(name))
    end

    def row(label, now, small, curve)
      format("%-14<label>s %10<now>s  %-24<small>s %<curve>s", label: label, now: now, small: small, curve: curve)
    end

    # The last half minute.
    def curve(name)
      bars(@status["seconds"].last(30).map { |second| second[name] })
    end

    def bars(values)
      most = values.max
      return "" unless most&.positive?

      values.map { |value| BARS[(value * (BARS.size - 1) / most.to_f).ceil] }.join
    end

    def latencies
      rows = @status["latencies"].map do |latency|
        times = %w[p50 p90 p99 mean].map { |name| Units.seconds(latency[name]) }
        [LATENCIES.fetch(latency["name"], latency["name"]), *times, Units.number(latency["count"]),
         bars(latency["counts"])]
      end
      head = ["latency, last min.", "median", "90 %", "99 %", "mean", "count", ""]
      table("%-18s %9s %9s %9s %9s %12s  %s", head, rows)
    end

    def listeners
      rows = @status["listeners"].map do |listener|
        [listener["name"], *%w[current accepted].map { |name| Units.number(listener[name]) },
         *%w[bytes_in bytes_out].map { |name| Units.bytes(listener[name]) },
         *%w[retries connect_failures].map { |name| Units.number(listener[name]) }]
      end
      table("%-24s %8s %12s %12s %12s %8s %8s",
            ["listener", "open", "accepted", "to backends", "to clients", "retries", "failed"], rows)
    end

    def ends
      ended = (@status.dig("totals", "ends") || []).select { |item| item["count"].positive? }
      rows = ended.sort_by { |item| -item["count"] }
                  .map { |item| [item["code"], Units.number(item["count"]), item["meaning"]] }
      table("%-6s %12s  %s", %w[ended connections meaning], rows)
    end

    def remotes
      rows = @status["remotes"].first(20).map do |remote|
        [remote["name"], *%w[current connected failed].map { |name| Units.number(remote[name]) },
         *%w[bytes_in bytes_out].map { |name| Units.bytes(remote[name]) }]
      end
      table("%-30s %8s %12s %8s %12s %12s", ["backend", "open", "connected", "failed", "to it", "from it"], rows)
    end

    def slow
      now = @status["program"].values_at("started", "uptime").sum
      rows = @status["slow"].map do |slow|
        ["#{Units.age(now - slow["at"])} ago", slow["client"], slow["block"], slow["answer"],
         *%w[queue_wait block_time].map { |name| Units.seconds(slow[name]) }]
      end
      table("%-14s %-24s %-14s %-24s %9s %9s", %w[slow client block answer waited took], rows)
    end

    def table(format, head, rows)
      rows.empty? ? [] : ["", format(format, *head), *rows.map { |row| format(format, *row) }]
    end

    # Names come from a config, and may hold what a terminal would obey.
    def printable(line)
      line.gsub(/[[:cntrl:]]/, "?")
    end
  end
end
