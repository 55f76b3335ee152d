# frozen_string_literal: true

class ProxyMachine
  module Log
    # Counts log lines that are lost, and tells their number once the log takes lines again.
    # @api private
    class Losses
      def initialize
        @lock = Mutex.new
        @unreported = 0
      end

      # @param lines [Integer] lines that are lost
      # @param reason [String]
      def add(lines, reason)
        return unless lines.positive?

        @lock.synchronize do
          @unreported += lines
          @reason = reason
        end
        Engine.count_dropped_lines(lines)
      end

      # Whether lines were lost since the last report.
      def any? = @unreported.positive?

      # Reports the losses, if there are any. They stay unreported if the block raises.
      # @yieldparam text [String] a warning
      def report
        return unless any?

        lost = @unreported
        yield "Lost #{lost} log lines: #{@reason}"
        @lock.synchronize { @unreported -= lost }
      end

      # Counts lines that could not be written, and says so on standard error, once until lines can be written again.
      # Standard error may be a pipe without a reader, too.
      # @param lines [Integer]
      # @param error [SystemCallError, IOError]
      def failed(lines, error)
        is_first = !any?
        add(lines, "cannot write the log: #{error.message}.")
        $stderr.write("log writing failed. #{error.message}\n") if is_first && writable?($stderr)
      rescue StandardError
        nil # A config may have made $stderr an object of any kind.
      end

      private

      def writable?(output) = !output.is_a?(IO) || output.wait_writable(0)
    end
  end
end
