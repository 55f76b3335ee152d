# frozen_string_literal: true

class ProxyMachine
  class CLI
    # Tells whether the server can write its files, without creating them.
    # @api private
    module FileCheck
      private

      # Does not create the file, which would belong to the user who checks.
      def check_writable(path)
        raise Errno::EISDIR if File.directory?(path)

        File.exist?(path) ? check_permission(path) : check_directory(File.dirname(resolve(path)))
      end

      # Returns the path of a file that is missing, behind links. Fails as the server would, if not the file alone is
      # missing: a name may be too long, a link may lead into a directory that is missing.
      def resolve(path)
        File.realdirpath(path)
      rescue SystemCallError => e
        raise e.class, path
      end

      # The server writes its id into a regular file alone.
      def check_pidfile(path)
        raise Errno::ELOOP, path if File.symlink?(path)

        check_regular(path)
        check_writable(path)
      end

      def check_regular(path)
        raise ArgumentError, "it is no regular file" if File.exist?(path) && !File.file?(path)
      end

      # The server creates a directory that is missing.
      def check_recordings(path)
        File.exist?(path) ? check_directory(path) : check_recordings(File.dirname(path))
      end

      def check_directory(path)
        raise Errno::ENOTDIR, path if File.exist?(path) && !File.directory?(path)

        check_permission(path)
      end

      def check_permission(path)
        raise Errno::ENOENT, path unless File.exist?(path)
        return if File.writable?(path)

        # The permissions would allow it, and the system does not.
        raise File.stat(path).writable? ? Errno::EROFS : Errno::EACCES, path
      end
    end
  end
end
