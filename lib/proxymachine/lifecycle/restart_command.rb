# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # The command line of this program, with which an upgrade starts the program again. To be read before the process
    # title changes.
    # @api private
    module RestartCommand
      class << self
        # @return [Array<String>] the command and its arguments
        attr_reader :command

        # Reads it.
        def remember
          @command = read_command
        end

        private

        def read_command
          File.binread("/proc/self/cmdline").split("\0")
        rescue SystemCallError
          [RbConfig.ruby, File.expand_path($PROGRAM_NAME), *ARGV]
        end
      end
    end
  end
end
