# frozen_string_literal: true

require_relative "lines"

class ProxyMachine
  # What the engine calls on the thread that called +run+: the config's blocks, and the log.
  # @api private
  class Handler
    include Lines

    # Raised in the thread that runs when the connections are gone and a block still has not
    # returned. No StandardError: a block's +rescue+ is not meant for it.
    class Halt < Exception; end # rubocop:disable Lint/InheritException

    # What ends the server when a block raises it. Anything else costs its own connection only.
    ENDING = [SystemExit, SignalException, Halt].freeze

    # Whether an exception is meant for the whole server: an exit, a signal, or a Timeout.timeout
    # around +run+, which raises an exception of its own into whatever runs.
    def self.ending?(exception)
      outer = defined?(Timeout::ExitException) ? [Timeout::ExitException] : []
      case exception # which is not asked: it might raise
      when *ENDING, *outer then true
      else false
      end
    end

    def initialize
      @log_format = LogFormat.new
    end

    # Asks the config's block. The +listener+ has a name or is nil; +about+ is what Client.new takes, or
    # nil if no block wants to know.
    def route(data, listener, about)
      router = ProxyMachine.configuration.blocks.router(listener)
      raise ConfigError, "no proxy block for the listener #{listener.inspect}" unless router

      router.call(data, about && Client.new(listener, about))
    end

    # Asks the block of proxy_accept.
    def accepted(_data, listener, about)
      ProxyMachine.configuration.blocks[:accept]&.callable&.call(Client.new(listener, about)) || :noop
    end

    # Asks the block of proxy_timeout.
    def timed_out(data, listener, about)
      block = ProxyMachine.configuration.blocks[:timeout]
      block ? block.call(data, about && Client.new(listener, about)) : :close # A reload took it away.
    end

    # @param remote [String] "host:port"
    def connect_error(remote)
      ProxyMachine.configuration.blocks[:connect_error]&.callable&.call(remote)
    end

    # @param remote [String] "host:port"
    def inactivity_error(remote)
      ProxyMachine.configuration.blocks[:inactivity_error]&.callable&.call(remote)
    end

    # A logger only needs +info+, +warn+ and +error+; one that cannot tell its level wants all.
    def info?
      guard(true) { LOGGER.respond_to?(:info?) ? !!LOGGER.info? : true }
    end

    # How the extension may write lines for LOGGER: see LogFormat#plan.
    def log_plan
      guard { @log_format.plan(LOGGER) }
    end

    # Writes lines that are formatted already.
    def write(lines)
      guard { LOGGER << lines }
    end

    # @return [String] a second since the epoch as Logger writes it
    def second(epoch)
      @log_format.forget
      Time.at(epoch).strftime("%Y-%m-%dT%H:%M:%S")
    end

    # @!method info(line)
    #   @param line [String]
    # @!method warn(line)
    #   @param line [String]
    # @!method error(line)
    #   @param line [String]
    %i[info warn error].each { |level| define_method(level) { |line| guard { LOGGER.public_send(level, line) } } }

    # The engine runs: whoever connects is served.
    def started
      guard { ProxyMachine.operations&.started }
    end

    # A second has gone by in which connections came or went.
    def title
      guard { ProxyMachine.update_procline }
    end

    private

    # A logger that fails (a full disk, a closed pipe) costs its lines only. A block that is called
    # home must not cost them either, so that waits.
    def guard(fallback = nil, &block)
      Thread.handle_interrupt(Halt => :never, &block)
    rescue Exception => e # rubocop:disable Lint/RescueException
      raise if Handler.ending?(e)

      fallback
    end
  end
end
