# frozen_string_literal: true

class ProxyMachine
  # How this program was started, for starting it once more. To be asked before the process title changes.
  # @api private
  module Program
    class << self
      # @return [Array<String>] the command and its arguments
      attr_reader :command
      # @return [String] the directory it was started in
      attr_reader :directory

      # Remembers both.
      def remember
        @command = read_command
        @directory = started_in
      end

      private

      def read_command
        File.binread("/proc/self/cmdline").split("\0")
      rescue SystemCallError
        [RbConfig.ruby, File.expand_path($PROGRAM_NAME), *ARGV]
      end

      # As the shell calls it, where that is true: a link to the newest release shall lead there next time, too.
      def started_in
        named = ENV.fetch("PWD", nil)
        real = Dir.pwd
        named && File.identical?(named, real) ? named : real
      end
    end
  end
end
