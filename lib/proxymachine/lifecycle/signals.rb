# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # Traps. A trap may neither log nor lock, so those of QUIT, TERM and INT only tell the engine to drain.
    # @api private
    module Signals
      SHUTDOWNS = { "QUIT" => :graceful_shutdown, "TERM" => :fast_shutdown, "INT" => :fast_shutdown }.freeze
      # A second INT is a user at a terminal who does not want to wait.
      SECOND_TIME = { "INT" => :immediate_shutdown }.freeze
      private_constant :SHUTDOWNS, :SECOND_TIME

      # Installs the traps of QUIT, TERM and INT while the block runs.
      def self.handled
        @handlers = SHUTDOWNS.to_h { |signal, shutdown| [signal, shutdown_handler(signal, shutdown)] }
        before = renew
        yield
      ensure
        @handlers = nil
        before&.each { |signal, handler| trap(signal, handler || "DEFAULT") }
      end

      # Installs the three traps again if a config that was loaded meanwhile has replaced them.
      # @return [Hash, nil] the traps that were replaced
      def self.renew
        @handlers&.to_h { |signal, handler| [signal, trap(signal, handler)] }
      end

      # Installs a trap for this process alone. In a forked child the signal has its default effect.
      def self.on(signal, &block)
        trap(signal, in_this_process(signal, &block))
      end

      def self.shutdown_handler(signal, shutdown)
        in_this_process(signal) do
          ProxyMachine.public_send(shutdown, signal)
          shutdown = SECOND_TIME.fetch(signal, shutdown)
        end
      end

      def self.in_this_process(signal)
        owner = Process.pid
        proc do
          if Process.pid == owner
            yield
          else
            trap(signal, "DEFAULT")
            Process.kill(signal, Process.pid)
          end
        end
      end
      private_class_method :shutdown_handler, :in_this_process
    end
  end
end
