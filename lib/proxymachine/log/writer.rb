# frozen_string_literal: true

require_relative "file_sink"
require_relative "format"
require_relative "losses"
require_relative "stream_sink"
require_relative "thread_sink"

class ProxyMachine
  module Log
    # Writes all lines of this process to the current value of LOGGER. A log that takes no lines delays its writers for
    # no more than a moment: lines are held, up to a limit, and then lost and counted. Each sink knows one kind of
    # LOGGER.
    # @api private
    class Writer
      # Devices that have no reader who could stand still, though they are no IO.
      MEMORY = %w[StringIO].freeze
      # Seconds for the last lines.
      FINISH_TIMEOUT = 3
      # Seconds for the last lines to a LOGGER that was replaced.
      REPLACE_TIMEOUT = 0.05
      private_constant :MEMORY, :REPLACE_TIMEOUT

      def initialize
        @format = Format.new
        @losses = Losses.new
        @lock = Mutex.new
        @process = Process.pid
      end

      # @see Format#plan
      def plan = @format.plan(LOGGER)

      # Writes lines that were formatted as #plan says.
      # @param text [String]
      def write(text) = sink.write(text)

      # @param lines [Array] of levels (+:info+, +:warn+, +:error+) and texts
      # @raise [Exception] what LOGGER has raised
      def log(lines) = sink.log(lines)

      # Examines LOGGER before the next line, even if it is the same object.
      def forget
        @format.forget
        @sink = nil if @sink.instance_of?(FileSink)
      end

      # Opens what the writer needs for LOGGER, while the process may open it.
      def prepare
        sink
      rescue StandardError
        nil # The first line meets the same error.
      end

      # Waits for lines that a slow log has not taken. Those that it does not take in time are lost.
      # @param seconds [Numeric]
      def finish(seconds = FINISH_TIMEOUT)
        forked unless own?
        sink = @sink or return
        @sink = nil
        sink.finish(seconds)
      end

      private

      # Whether the sinks belong to this process. The count of forks spares the system call for each batch of lines.
      def own?
        forks = Engine.forks if defined?(Engine)
        return true if forks && forks == @forks

        @forks = forks
        @process == Process.pid
      end

      # In a forked process, forgets the lines that wait. The parent writes them.
      def forked
        @process = Process.pid
        @sink&.forked
      end

      def sink
        forked unless own?
        logger = LOGGER
        is_plain = @format.plain?(logger)
        known_sink(logger, is_plain) || @lock.synchronize do
          # Another thread may have found the new LOGGER first.
          known_sink(logger, is_plain) || begin
            @sink&.finish(REPLACE_TIMEOUT)
            @sink = sink_for(logger, is_plain)
          end
        end
      end

      def known_sink(logger, is_plain)
        sink = @sink # Another thread may remove it.
        sink if sink&.serves?(logger) && sink.plain? == is_plain
      end

      def sink_for(logger, is_plain)
        return ThreadSink.new(logger, false, @losses) unless is_plain

        log_device = logger.instance_variable_get(:@logdev)
        device = log_device&.dev
        return ThreadSink.new(logger, true, @losses) unless known?(device)

        stream?(device) ? StreamSink.new(logger, log_device, @losses) : FileSink.new(logger, log_device, @losses)
      end

      # Whether the writer may write to a device without the logger.
      def known?(device)
        device.nil? || MEMORY.include?(device.class.name) || (device.is_a?(IO) && device.method(:write).owner == IO)
      end

      def stream?(device)
        return false unless device.is_a?(IO)

        stat = device.stat
        stat.pipe? || stat.socket? || (stat.chardev? && device.tty?)
      rescue SystemCallError, IOError
        false # It is closed, which is an error of each line.
      end
    end
  end
end
