# frozen_string_literal: true

class ProxyMachine
  # An error that keeps ProxyMachine from starting. A failure of one connection is no exception but a log line.
  class Error < StandardError; end

  # The config cannot be used: it is unreadable or no Ruby, it raised, or it has no +proxy+ block.
  class ConfigError < Error; end

  # The command line cannot be understood. The executable exits with status 2.
  class UsageError < Error; end

  # The engine cannot start: a port is in use, a host is unknown, there are no descriptors left.
  class StartError < Error; end

  # The native extension cannot be loaded.
  class ExtensionError < Error; end

  # A block forked and the child returned into the server, where the engine's threads do not exist.
  class ForkError < Error; end

  # Raised in the serving thread when all connections have ended and a block has still not returned. It is no
  # StandardError, so that a block's +rescue+ does not stop it.
  # @api private
  class Interrupted < Exception; end # rubocop:disable Lint/InheritException

  # Matches the exceptions that end the server if a block raises them: an exit, a signal, Interrupted, and the exception
  # of a Timeout.timeout around +run+. Any other exception ends one connection.
  # @api private
  module Fatal
    # Asks the classes instead of the exception, whose methods may be a config's.
    def self.===(exception)
      timeout = defined?(Timeout::ExitException) ? [Timeout::ExitException] : []
      case exception
      when SystemExit, SignalException, Interrupted, *timeout then true
      else false
      end
    end
  end
end
