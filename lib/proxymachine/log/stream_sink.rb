# frozen_string_literal: true

require_relative "../new_thread"
require_relative "format"
require_relative "held_lines"
require_relative "nonblocking_output"

class ProxyMachine
  module Log
    # Writes for a plain Logger whose device is a pipe, a socket or a terminal, whose reader may stand still. A write
    # never blocks. Lines that the device does not take are held, in order and up to a limit. A thread writes them as
    # soon as the device takes them.
    # @api private
    class StreamSink
      # Seconds without progress after which the last lines are given up, and seconds that they have in any case.
      PATIENCE = 1
      GRACE = 0.2
      # Seconds that a caller waits for a reader, so that the lines that a block writes itself come after these. If they
      # were not enough, no caller waits until the device has taken all lines.
      MOMENT = 0.05
      # The reason of a loss.
      UNREAD = "the log was not read."
      private_constant :PATIENCE, :GRACE, :MOMENT, :UNREAD

      # @param logger [Logger] a plain one
      # @param log_device [Logger::LogDevice] the logger's
      # @param losses [Losses]
      def initialize(logger, log_device, losses)
        @logger = logger
        @log_device = log_device
        @output = NonblockingOutput.new(log_device.dev)
        @losses = losses
        @lock = Mutex.new
        forked
      end

      def plain? = true

      # Whether lines for this logger go here.
      def serves?(logger) = @logger.equal?(logger) && @output.for?(@log_device.dev)

      # @param text [String] formatted lines
      def write(text)
        @lock.synchronize do
          hold(write_in_time(text))
          @is_late = false if @held.empty?
        rescue SystemCallError, IOError => e
          give_up(text, e)
        end
      end

      # @param lines [Array] levels and texts
      def log(lines)
        text = Format.lines(@logger, lines)
        write(text) unless text.empty?
      end

      # Writes the lines that are held. Those that the device does not take in time are lost.
      # @param seconds [Numeric]
      def finish(seconds)
        start = Log.now
        until flushed?
          rest = [@output.progress + PATIENCE, start + GRACE].max.clamp(..start + seconds) - Log.now
          break unless rest.positive? && @output.wait_writable(rest)
        end
        @lock.synchronize do
          @losses.add(@held.count, UNREAD)
          @flusher&.kill
          forked
          @output.close
        end
      rescue SystemCallError, IOError
        nil
      end

      # Forgets the lines that are held. The parent of this process writes them.
      def forked
        @held = HeldLines.new
        @is_late = false
        @flusher = nil
      end

      private

      # Returns what the device has not taken after a moment.
      def write_in_time(text)
        deadline = Log.now + MOMENT unless @is_late
        loop do
          @output.begin_turn
          text = @output.write(text) if flush
          return text if text.empty? || @is_late

          rest = deadline - Log.now
          @is_late = true unless rest.positive? && @output.wait_writable(rest)
        end
      end

      # Returns whether nothing is held any more.
      def flush
        return false unless @held.write(@output)

        report if @losses.any?
        @held.empty?
      end

      def report
        @losses.report do |text|
          hold(@output.write(Format.lines(@logger, [[:warn, text]])))
        end
      end

      # After a loss, further lines are lost until the device has taken those that are held.
      def hold(text)
        return if text.empty?

        lost = @losses.any? && !@held.empty? ? text : @held.add(text)
        @losses.add(lost.b.count("\n"), UNREAD)
        flush_in_background
      end

      def give_up(text, error)
        @losses.failed(@held.count + text.b.count("\n"), error)
        @held.clear
        caught_up
      end

      def flushed?
        @lock.synchronize do
          @output.begin_turn
          flush.tap { |is_flushed| caught_up if is_flushed }
        rescue SystemCallError, IOError => e
          give_up("", e)
          true
        end
      end

      # The flusher ends. Lines that are held from now on need another one, even if this one is still alive.
      def caught_up
        @is_late = false
        @flusher = nil
      end

      # Without a thread, the next write tries again.
      def flush_in_background
        return if @flusher&.alive?

        @flusher = NewThread.start { sleep 0.01 until flushed? || !@output.wait_writable }
        @flusher.report_on_exception = false
      rescue ThreadError
        nil
      end
    end
  end
end
