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
      @own = HANDLERS.to_h { |signal, shutdown| [signal, handler(signal, shutdown)] }
      before = renew
      yield
    ensure
      @own = nil
      before&.each { |signal, handler| trap(signal, handler || "DEFAULT") }
    end

    # Installs them once more while they are installed: a config that was loaded may have had traps of its own.
    # @return [Hash, nil] the traps that they replaced
    def self.renew
      @own&.to_h { |signal, handler| [signal, trap(signal, handler)] }
    end

    def self.handler(signal, shutdown)
      of_this_process(signal) do
        ProxyMachine.public_send(shutdown, signal)
        shutdown = AGAIN.fetch(signal, shutdown)
      end
    end

    # A trap for this process alone: in a forked child a signal does what it does to any other process.
    def self.on(signal, &block)
      trap(signal, of_this_process(signal, &block))
    end

    def self.of_this_process(signal)
      server = Process.pid
      proc do
        if Process.pid == server
          yield
        else
          trap(signal, "DEFAULT")
          Process.kill(signal, Process.pid)
        end
      end
    end
    private_class_method :handler, :of_this_process
  end
end
