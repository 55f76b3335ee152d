# frozen_string_literal: true

class ProxyMachine
  # The files that are logged to. When one is renamed, its writer must open it anew by its old name.
  # @api private
  class LogFiles
    def initialize
      @redirected = [$stdout, $stderr].to_h { |stream| [stream, path_of(stream)] }.compact
    end

    # Opens all of them; one that cannot be opened keeps the others from nothing, and is written on as before.
    # @yield for those that this does not know of
    # @raise [SystemCallError, IOError, StartError] the first that went wrong
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

    # Opened before the stream is touched: one that failed to reopen has no descriptor, and a client would get it next.
    def reopen_stream(stream, path)
      File.open(path, "a") { |file| stream.reopen(file) }
      stream.sync = true
    end

    # A Logger closes its file before it opens it again, so whether that is possible is tried before.
    def reopen_logger
      return unless LOGGER.respond_to?(:reopen)

      device = LOGGER.instance_variable_get(:@logdev)
      File.open(device.filename, "a").close if device.is_a?(Logger::LogDevice) && device.filename
      LOGGER.reopen
    end

    # Where a stream was redirected to; nil unless that is a file.
    def path_of(stream)
      File.readlink("/proc/self/fd/#{stream.fileno}") if stream.stat.file?
    rescue SystemCallError, IOError
      nil
    end
  end
end
