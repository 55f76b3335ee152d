# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # A file with the process id of the server.
    # @api private
    class Pidfile
      # @param path [String]
      def initialize(path)
        @path = SafeInspect.utf8(File.expand_path(path))
      rescue SystemCallError, ArgumentError => e # No working directory, or no home directory.
        raise StartError, "cannot write the pidfile #{SafeInspect.utf8(path)}: #{SafeInspect.failure(e)}"
      end

      # Writes the process id.
      # @param privileges [Config::Privileges] the user to whom the file belongs, and who writes it after an upgrade
      # @raise [StartError] if the file cannot be written
      def write(privileges)
        # The file is overwritten before it is cut, so it is never empty for a reader that wants to signal the process.
        # NOFOLLOW: root may be writing in a directory of another user, whose link would get that user any file.
        # NONBLOCK: a FIFO would wait for a reader.
        File.open(@path, File::WRONLY | File::CREAT | File::NOFOLLOW | File::NONBLOCK, 0o644) do |file|
          raise Errno::EINVAL, "no regular file" unless file.stat.file?

          file.truncate(file.write("#{Process.pid}\n"))
          privileges.own(file)
        end
        @is_written = true
      rescue SystemCallError => e
        remove_empty unless e.is_a?(Errno::EINVAL)
        raise StartError, "cannot write the pidfile #{@path}: #{SafeInspect.failure(e)}"
      end

      # Removes the file, unless another process has written its own id there.
      def remove
        File.delete(@path) if @is_written && File.read(@path).to_i == Process.pid
      rescue SystemCallError
        nil # The file is gone, or this user may not delete it.
      end

      private

      # Leaves no file behind that the disk or a limit had no room for.
      def remove_empty
        File.delete(@path) if File.file?(@path) && File.empty?(@path)
      rescue SystemCallError
        nil # This user may not delete it.
      end
    end
  end
end
