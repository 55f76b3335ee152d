# frozen_string_literal: true

require_relative "../lifecycle/signals"

class ProxyMachine
  class Cluster
    # Queues signals for the cluster's loop: a self-pipe, into which the traps write the signal's name.
    # @api private
    class SignalPipe
      # The signals that start a drain.
      DRAINS = %w[QUIT TERM INT].freeze
      ALL = [*DRAINS, "HUP", "USR1", "USR2", "CHLD"].freeze
      # Seconds after which the loop turns without a signal, too.
      LONGEST_WAIT = 3600
      private_constant :DRAINS, :ALL, :LONGEST_WAIT

      def initialize
        @reader, @writer = IO.pipe
      end

      # Installs the traps.
      # @yield in the trap of a signal that starts a drain, to cancel what the loop is waiting for
      def install_traps
        ALL.each do |signal|
          Lifecycle::Signals.on(signal) do
            @writer.write_nonblock("#{signal}\n", exception: false)
            yield if DRAINS.include?(signal)
          end
        end
      end

      # @param timeout [Numeric, nil] seconds; nil for an hour
      # @return [String, nil] the name of the next signal; nil after the timeout
      def next(timeout)
        @reader.gets.chomp if @reader.wait_readable(timeout || LONGEST_WAIT)
      end
    end
  end
end
