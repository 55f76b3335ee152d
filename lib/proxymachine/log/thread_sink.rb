# frozen_string_literal: true

require_relative "../errors"
require_relative "../new_thread"

class ProxyMachine
  module Log
    # Writes to a LOGGER that may block in a way that cannot be foreseen: one that is no plain Logger, or whose device
    # is no IO. A thread calls the LOGGER. The caller waits a moment for the thread, so that these lines and those of
    # the config's blocks stay in order, and a LOGGER that is in time gets one call at a time.
    # @api private
    class ThreadSink
      # Lines and bytes that wait for the LOGGER. Further lines are lost until the LOGGER has taken all of them.
      MAX_LINES = 50_000
      MAX_BYTES = 4 << 20
      # Seconds that a caller waits. If they were not enough, no caller waits until the LOGGER has taken all lines.
      MOMENT = 0.05
      # Seconds without a line after which the thread ends.
      IDLE = 1
      # Seconds that one of the last lines may take before all are given up.
      PATIENCE = 1
      private_constant :MAX_LINES, :MAX_BYTES, :MOMENT, :IDLE, :PATIENCE

      # @param logger [Object]
      # @param is_plain [Boolean] whether the logger takes formatted lines
      # @param losses [Losses]
      def initialize(logger, is_plain, losses)
        @logger = logger
        @is_plain = is_plain
        @losses = losses
        @lock = Mutex.new
        @added = ConditionVariable.new
        @taken = ConditionVariable.new
        forked
      end

      def plain? = @is_plain

      # Whether lines for this logger go here.
      def serves?(logger) = @logger.equal?(logger)

      # @param text [String] formatted lines
      def write(text) = log([[:<<, text]])

      # @param lines [Array] methods of the logger, and texts
      # @raise [Exception] what the logger has raised, if it is in time
      def log(lines)
        @lock.synchronize do
          push(lines)
          run
          wait_a_moment unless @is_late
          error = @error
          @error = nil
          raise error if error
        end
      end

      # Waits until the logger has taken all lines. Those that it does not take in time are lost.
      # @param seconds [Numeric]
      def finish(seconds)
        deadline = Log.now + seconds
        @lock.synchronize do
          @taken.wait(@lock, MOMENT) until idle? || Log.now > [@progress + PATIENCE, deadline].min
          lose(@lines.slice!(0..))
          @thread&.kill
        end
      end

      # Forgets the lines that wait. The parent of this process writes them.
      def forked
        @lines = []
        @bytes = 0
        @is_late = @is_busy = false
        @thread = @error = nil
      end

      private

      def push(lines)
        @progress = Log.now if idle?
        return lose(lines) if @lines.size >= MAX_LINES || @bytes >= MAX_BYTES || (@losses.any? && !idle?)

        @lines.concat(lines)
        @bytes += lines.sum { |_, text| text.bytesize }
      end

      # Starts the thread, which may have ended. Without a thread, the next call tries again.
      def run
        return @added.signal if @thread&.alive?

        @thread = NewThread.start do
          while (line = take)
            call(*line)
          end
        end
        @thread.report_on_exception = false
      rescue ThreadError
        @is_late = true
      end

      def wait_a_moment
        deadline = Log.now + MOMENT
        until idle?
          return @is_late = true if Log.now >= deadline

          @taken.wait(@lock, MOMENT)
        end
      end

      # A logger may have killed the thread.
      def idle?
        @lines.empty? && !(@is_busy && @thread&.alive?)
      end

      # Returns the next line. Returns nil, to end the thread, after a while without one.
      def take
        @lock.synchronize do
          @is_busy = false
          @progress = Log.now
          catch_up if @lines.empty?
          @added.wait(@lock, IDLE) if @lines.empty?
          line = @lines.shift
          line ? @bytes -= line.last.bytesize : @thread = nil
          @is_busy = !line.nil?
          line
        end
      end

      def catch_up
        @is_late = false
        @losses.report { |text| @lines << [:warn, text] && @bytes += text.bytesize }
        @taken.broadcast if @lines.empty?
      end

      # A logger that raises loses its line. A warning about that would have to go to the same logger.
      def call(method, text)
        lines = lines_of(method, text)
        @logger.public_send(method, text)
      rescue Exception => e # rubocop:disable Lint/RescueException -- raised in the caller, which knows what to do
        Engine.count_dropped_lines(lines)
        @error = e if @error.nil? || Fatal === e # rubocop:disable Style/CaseEquality
      end

      def lose(lines)
        @losses.add(lines.sum { |line| lines_of(*line) }, "LOGGER was blocked.")
      end

      def lines_of(method, text) = method == :<< ? text.count("\n") : 1
    end
  end
end
