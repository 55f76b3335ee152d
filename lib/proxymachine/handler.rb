# frozen_string_literal: true

class ProxyMachine
  # What the engine calls on the thread that called +run+: the config's blocks, and the log.
  # @api private
  class Handler
    # Raised in the thread that runs when the connections are gone and a block still has not
    # returned. No StandardError: a block's +rescue+ is not meant for it.
    class Halt < Exception; end # rubocop:disable Lint/InheritException

    # What ends the server when a block raises it. Anything else costs its own connection only.
    ENDING = [SystemExit, SignalException, Halt].freeze

    # The config's names of what the engine calls.
    BLOCKS = { "route" => "proxy", "accepted" => "proxy_accept", "timed_out" => "proxy_timeout",
               "connect_error" => "proxy_connect_error",
               "inactivity_error" => "proxy_inactivity_error" }.freeze
    private_constant :BLOCKS

    VALID = '{:remote => "host:port"}, {:close => true}, {:close => "last words"}, {:noop => true}, ' \
            '"host:port", :close or :noop'
    private_constant :VALID

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

    # @return [String] the line that logs what a block or callback raised
    # @raise what is meant for the whole server
    def raised(exception)
      raise exception if Handler.ending?(exception)

      "#{Text.of("an exception") { exception.class }} - " \
        "#{Text.of("(no message)") { exception.message.to_s.lines.first.to_s.chomp }}"
    end

    # @return [String] the line that logs an answer
    def answered(client, answer)
      "#{client} #{Text.inspect(answer)}"
    end

    # @return [String] the line that says why an answer is none
    def invalid_answer(client, answer)
      "#{client} invalid answer #{Text.inspect(answer)}: expected #{VALID}"
    end

    # @return [String] the line that says why a remote is none
    def invalid_remote(client, remote, reason)
      "#{client} invalid remote #{Text.inspect(remote)}: #{reason}, expected \"host:port\""
    end

    # @return [String] the line that says which key of an answer has a value that is none
    def invalid_value(client, key, value, expected)
      "#{client} invalid :#{key} #{Text.inspect(value)}: expected #{expected}"
    end

    # @return [String] the line that names a key of an answer that means nothing
    def unknown_key(client, key)
      "#{client} no such key in an answer: #{Text.inspect(key)}"
    end

    # @return [String] the line that names a block that took long
    def slow(client, method, seconds)
      "#{client} the #{BLOCKS.fetch(method)} block took #{seconds.round(3)}s"
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
