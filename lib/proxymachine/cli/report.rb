# frozen_string_literal: true

class ProxyMachine
  class CLI
    # How the command line ends after an error.
    # @api private
    module Report
      private

      # Ends the process by the signal itself: without a backtrace, and with the status that names the signal.
      def die_of(signal)
        trap(signal, "SYSTEM_DEFAULT")
        Process.kill(signal, Process.pid)
        sleep
      end

      # @return [Integer] the status
      def report(message, status)
        say(message)
        ProxyMachine.runner.failed(message) if ProxyMachine.respond_to?(:runner)
        status
      end

      # The status tells of the error if standard error is closed or full.
      def say(message)
        $stderr.puts "proxymachine: #{message}" # rubocop:disable Style/StderrPuts -- a config may silence warnings
      rescue SystemCallError, IOError
        nil
      end
    end
  end
end
