# frozen_string_literal: true

module Bench
  class Soak
    # Prints the results of a run.
    class Summary
      MIB = 1024.0 * 1024

      def initialize(phases, warm, hot, log)
        @phases = phases
        @warm = warm
        @hot = hot
        @log = log
      end

      def to_s
        (traffic + states + kinds).join("\n")
      end

      private

      def traffic
        head = ["", "opened", "seconds", "MiB up", "MiB down", "longest, s", "which was"]
        rows = @phases.zip(%w[warm-up load changes storm drain]).map { |result, name| [name, *figures(result)] }
        [head, *rows].map { |row| row.map { |cell| cell.to_s.rjust(11) }.join }
      end

      def figures(result)
        mib = result.values_at("up", "down").map { |bytes| (bytes / MIB).round(1) }
        [*result.values_at("opened", "seconds"), *mib, *result.values_at("longest", "longest_kind")]
      end

      def states
        turned_away = @phases.last["turned_away"]
        storm = @phases.to_a[3]
        ["the storm had #{(storm["opened"] / storm["seconds"]).round} connections a second",
         "memory #{@warm.memory} KiB after the warm-up, #{@hot.memory} KiB after the load; " \
         "at most #{@hot.most} connections at once",
         "turned away by the drain: #{turned_away}; log lines: #{@log.counts.values.sum}"]
      end

      def kinds
        cells = @phases.kinds.map { |kind, count| kind.ljust(18) + count.to_s.rjust(6) }
        cells.each_slice(3).map { |row| row.join("   ") }
      end
    end
  end
end
