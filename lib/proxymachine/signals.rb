# frozen_string_literal: true

class ProxyMachine
  # QUIT, TERM and INT. A trap may neither log nor lock, so these only tell the engine.
  # @api private
  module Signals
    HANDLERS = { "QUIT" => :graceful_shutdown, "TERM" => :fast_shutdown, "INT" => :fast_shutdown }.freeze
    # What a second one of the same kind does: somebody at a terminal has lost patience.
    AGAIN = { "INT" => :immediate_shutdown }.freeze
    private_constant :HANDLERS, :AGAIN

    # Installs the three traps while the block runs; all other traps of the config stay.
    def self.handled
      before = HANDLERS.to_h { |signal, shutdown| [signal, install(signal, shutdown)] }
      yield
    ensure
      before&.each { |signal, handler| trap(signal, handler || "DEFAULT") }
    end

    def self.install(signal, shutdown)
      hear(signal) do
        ProxyMachine.public_send(shutdown, signal)
        shutdown = AGAIN.fetch(signal, shutdown)
      end
    end
    private_class_method :install

    # A trap for this process alone: in a forked child a signal does what it does to any other process.
    def self.hear(signal)
      server = Process.pid
      trap(signal) do
        if Process.pid == server
          yield
        else
          trap(signal, "DEFAULT")
          Process.kill(signal, Process.pid)
        end
      end
    end
  end
end
