# frozen_string_literal: true

require_relative "format"

class ProxyMachine
  module Log
    # Writes for a plain Logger whose device does not wait for a reader: a file, /dev/null, a StringIO, or nothing.
    # @api private
    class FileSink
      # @param logger [Logger] a plain one
      # @param log_device [Logger::LogDevice, nil] the logger's
      # @param losses [Losses]
      def initialize(logger, log_device, losses)
        @logger = logger
        @log_device = log_device
        @losses = losses
        # A Logger that rotates its file has to write by itself.
        @rotates = ![nil, 0].include?(log_device.instance_variable_get(:@shift_age))
      end

      def plain? = true

      # Whether lines for this logger go here.
      def serves?(logger) = @logger.equal?(logger)

      # @param text [String] formatted lines
      def write(text)
        emit(text)
        @losses.report { |notice| emit(Format.lines(@logger, [[:warn, notice]])) } if @losses.any?
      rescue SystemCallError, IOError => e
        @losses.failed(text.b.count("\n"), e)
      end

      # @param lines [Array] levels and texts
      def log(lines)
        text = Format.lines(@logger, lines)
        write(text) unless text.empty?
      end

      # No lines wait to be written.
      def finish(_seconds); end

      # A file needs nothing after a fork.
      def forked; end

      private

      # Not by the Logger: it would drop the error, and print it each time on standard error, which may block.
      def emit(text)
        return @logger << text if @rotates

        @log_device&.synchronize { @log_device.dev.write(text) }
      end
    end
  end
end
