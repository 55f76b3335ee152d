# frozen_string_literal: true

require_relative "../errors"

class ProxyMachine
  module Log
    # Opens log files again by their names, after they were rotated.
    # @api private
    class Files
      def initialize
        @redirected = [$stdout, $stderr].to_h { |stream| [stream, path_of(stream)] }.compact
      end

      # Opens all files again: standard output and standard error, LOGGER's, and those of the block. A file that cannot
      # be opened is written on as before, and does not prevent the others.
      # @yield to open further files
      # @raise [SystemCallError, IOError, StartError] the first failure
      def reopen(&others)
        streams = @redirected.map { |stream, path| -> { reopen_stream(stream, path) } }
        failures = [*streams, method(:reopen_logger), *others].filter_map do |step|
          step.call
          nil
        rescue SystemCallError, IOError, StartError => e
          e
        end
        raise failures.first if failures.any?
      end

      private

      # Opens the file before the stream is touched. A stream that fails to reopen loses its descriptor, which the next
      # client would get.
      def reopen_stream(stream, path)
        File.open(path, "a") { |file| stream.reopen(file) }
        stream.sync = true
      end

      # Opens the file once before the Logger does, which closes its old file first.
      def reopen_logger
        return unless LOGGER.respond_to?(:reopen)

        device = LOGGER.instance_variable_get(:@logdev)
        if device.is_a?(Logger::LogDevice) && device.filename
          # A FIFO is not rotated, and opening it waits for its reader.
          return if File.pipe?(device.filename)

          File.open(device.filename, "a").close
        end
        LOGGER.reopen
      end

      # Returns the file that a stream was redirected to; nil if it is no file.
      def path_of(stream)
        File.readlink("/proc/self/fd/#{stream.fileno}") if stream.stat.file?
      rescue SystemCallError, IOError
        nil
      end
    end
  end
end
