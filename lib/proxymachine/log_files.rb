# frozen_string_literal: true

class ProxyMachine
  # The files that are logged to. When one is renamed, its writer must open it anew by its old name.
  # @api private
  class LogFiles
    def initialize
      @redirected = [$stdout, $stderr].to_h { |stream| [stream, path_of(stream)] }.compact
    end

    # @raise [SystemCallError] if one cannot be opened; then it is written on as before
    def reopen
      @redirected.each { |stream, path| stream.reopen(path, "a") && stream.sync = true }
      LOGGER.reopen if LOGGER.respond_to?(:reopen)
    end

    private

    # Where a stream was redirected to; nil unless that is a file.
    def path_of(stream)
      File.readlink("/proc/self/fd/#{stream.fileno}") if stream.stat.file?
    rescue SystemCallError, IOError
      nil
    end
  end
end
