# frozen_string_literal: true

require_relative "../safe_inspect"

class ProxyMachine
  class Lifecycle
    # The working directory of the start, by the name that the shell gave it. If a link to the newest release leads
    # there, a reload and an upgrade follow that link again.
    # @api private
    module WorkingDirectory
      class << self
        # @return [String, nil] the directory's name; nil if it has none any more
        attr_reader :path

        # Reads the name. To be called at the start.
        def remember
          real = name { Dir.pwd }
          named = ENV.fetch("PWD", nil)
          @path = SafeInspect.utf8(named) if named&.start_with?("/") && same?(named, ".")
          @path ||= real
          @last = identity
        end

        # @param file [String] a path as it was given at the start
        # @return [String] the absolute path, in which the links of the working directory are kept
        # @raise [SystemCallError] if the path is relative and the directory was deleted before the start
        def expand(file)
          SafeInspect.utf8(File.expand_path(SafeInspect.utf8(file), @path))
        end

        # Changes to the directory that has the name now, unless the config has left the directory of the start. If the
        # name leads nowhere, the process stays.
        # @yield afterwards; if the block raises, the process goes back
        def follow
          before = Dir.open(".") if moved?
          change(@path) if before
          yield
        rescue Exception # rubocop:disable Lint/RescueException -- it is raised again
          change("/proc/self/fd/#{before.fileno}") if before
          raise
        ensure
          before&.close
        end

        private

        def moved?
          @path && @last && @last == identity && File.directory?(@path) && !same?(@path, ".")
        end

        def change(directory)
          Dir.chdir(directory)
          @last = identity
        rescue SystemCallError
          nil # It was removed meanwhile, or this user may not enter it.
        end

        def identity
          stat = File.stat(".")
          [stat.dev, stat.ino]
        rescue SystemCallError
          nil
        end

        def same?(path, other)
          File.identical?(path, other)
        rescue ArgumentError
          false
        end

        def name
          SafeInspect.utf8(yield)
        rescue SystemCallError
          nil
        end
      end
    end
  end
end
