# frozen_string_literal: true

require "logger"
require "socket"
require_relative "proxymachine/version"
require_relative "proxymachine/errors"
require_relative "proxymachine/callable"
require_relative "proxymachine/text"
require_relative "proxymachine/log_format"
require_relative "proxymachine/settings"
require_relative "proxymachine/descriptors"
require_relative "proxymachine/listeners"
require_relative "proxymachine/privileges"
require_relative "proxymachine/blocks"
require_relative "proxymachine/configuration"
require_relative "proxymachine/drafting"
require_relative "proxymachine/client"
require_relative "proxymachine/handler"
require_relative "proxymachine/signals"
require_relative "proxymachine/workers"
require_relative "proxymachine/admin"
require_relative "proxymachine/server"
require_relative "proxymachine/verbs"
require_relative "proxymachine/sniffers"

# 1.2.4 loaded these, and configs use them without saying so.
autoload :YAML, "yaml"
autoload :EventMachine, "eventmachine"
autoload :EM, "eventmachine"

# A redirected log must not lag behind.
$stdout.sync = true

# Everything that ProxyMachine has to say goes to whatever LOGGER is at that moment. A config may assign another one,
# of which only +info+, +warn+ and +error+ are asked.
#
#   LOGGER = Logger.new("/var/log/proxymachine.log")
LOGGER = Logger.new($stdout) unless defined?(LOGGER)

# A TCP proxy that asks a Ruby block where each connection goes.
#
#   require "proxymachine"
#   proxy { |data| data.start_with?("a") ? { :remote => "127.0.0.1:9001" } : { :close => true } }
#   ProxyMachine.run("example", "127.0.0.1", 5432)
class ProxyMachine
  # Seconds that TERM and INT leave to open connections.
  MAX_FAST_SHUTDOWN_SECONDS = 10

  extend Drafting

  class << self
    # What an operator may want of the program that runs; nil unless the command line started it.
    # @return [Operations, nil]
    # @api private
    attr_accessor :operations

    # Sets what decides where connections go, as the verb +proxy+ does. Takes effect for the next decision.
    #
    #   ProxyMachine.set_router(lambda { |data| "10.0.0.1:80" })
    #
    # @param callable [Proc, Method, #call] gets a String and perhaps a Client, answers as docs/reference.md lists
    # @param listener [Symbol, String, nil] only for the clients of the listener of that name
    # @return [void]
    # @raise [ConfigError] if +listener+ cannot be a name
    def set_router(callable, listener = nil)
      draft.blocks.set_router(callable, listener)
    end

    # What was given to +proxy+ or {set_router}.
    #
    #   ProxyMachine.router # => nil
    #
    # @return [#call, nil] nil before that
    def router
      configuration.blocks.router&.given
    end

    # Sets what is called when a backend could not be reached, or closed without a byte, as the verb
    # +proxy_connect_error+ does.
    #
    #   ProxyMachine.set_connect_error_callback { |remote| LOGGER.warn("#{remote} is down") }
    #
    # @yieldparam remote [String] "host:port"
    # @yieldreturn [Hash, Object] with +:remote+ or words in +:close+; anything else means nothing
    # @return [void]
    def set_connect_error_callback(&block)
      draft.blocks.set(:connect_error, block)
    end

    # What was given to +proxy_connect_error+ or {set_connect_error_callback}.
    #
    #   ProxyMachine.connect_error_callback&.call("10.0.0.1:80")
    #
    # @return [Proc, nil] nil before that
    def connect_error_callback
      configuration.blocks[:connect_error]&.given
    end

    # Sets what is called when a backend did not send its first byte within the answer's +:inactivity_timeout+, as the
    # verb +proxy_inactivity_error+ does.
    #
    #   ProxyMachine.set_inactivity_error_callback { |remote| LOGGER.warn("#{remote} is silent") }
    #
    # @yieldparam remote [String] "host:port"
    # @yieldreturn [Hash, Object] with words in +:close+; anything else means nothing
    # @return [void]
    def set_inactivity_error_callback(&block)
      draft.blocks.set(:inactivity_error, block)
    end

    # What was given to +proxy_inactivity_error+ or {set_inactivity_error_callback}.
    #
    #   ProxyMachine.inactivity_error_callback # => nil
    #
    # @return [Proc, nil] nil before that
    def inactivity_error_callback
      configuration.blocks[:inactivity_error]&.given
    end

    # Serves until QUIT, TERM or INT, whose traps it installs meanwhile, or until a shutdown is asked for.
    #
    #   proxy { "10.0.0.1:80" }
    #   ProxyMachine.run("example", "127.0.0.1", 8080)
    #
    # @param name [String, Symbol] shown in the process title
    # @param host [String, nil] address or name to listen on; nil if only the config's +listen+ counts
    # @param port [Integer, String, nil] 0 takes a free one
    # @return [void] once all connections have ended
    # @raise [ConfigError] if there is no +proxy+ block, or listeners and blocks do not belong together
    # @raise [StartError] if an address cannot be listened on, or a user not become
    # @raise [ExtensionError] if the native extension is not there
    # @raise [ForkError] in a child that a block forked and that came back here
    # @raise [SystemExit] with status 1 if connections had to be cut off
    def run(name, host, port)
      raise ConfigError, "no routing: call proxy { |data| ... } first" unless configuration.blocks.routing?

      require_relative "proxymachine/extension"
      Descriptors.raise_limit
      first = host && "#{host}:#{port_number(port)}"
      @server = Server.new(configuration, first, operations&.sockets || [])
      admin = @server.bind_admin(name.to_s)
      operations&.opened(@server)
      configuration.drop_privileges
      @name = name
      update_procline
      outcome = Signals.handled do
        announce(admin)
        @server.run
      end
      exit(1) if outcome == :forced
    end

    # How many connections there are and were.
    #
    #   ProxyMachine.stats # => "0/0/0"
    #
    # @return [String] "current/most at once/total"
    def stats
      (@server ? @server.stats : [0, 0, 0]).join("/")
    end

    # How many connections there are.
    #
    #   ProxyMachine.count # => 0
    #
    # @return [Integer] client connections that are open now
    def count
      @server ? @server.stats.first : 0
    end

    # Stops accepting, and has {run} return when the last connection has ended. May be called from a trap.
    #
    #   trap("USR2") { ProxyMachine.graceful_shutdown("USR2") }
    #
    # @param signal [String] named in the log
    # @return [void]
    def graceful_shutdown(signal)
      drain(signal, nil)
    end

    # The same, but after {MAX_FAST_SHUTDOWN_SECONDS} what is left is cut off, and {run} exits with status 1.
    #
    #   ProxyMachine.fast_shutdown("TERM")
    #
    # @param signal [String] named in the log
    # @return [void]
    def fast_shutdown(signal)
      drain(signal, MAX_FAST_SHUTDOWN_SECONDS)
    end

    # Cuts off what is left, now. May be called from a trap.
    #
    #   ProxyMachine.immediate_shutdown("INT")
    #
    # @param signal [String] named in the log
    # @return [void]
    def immediate_shutdown(signal)
      drain(signal, 0)
    end

    # Stops accepting; +limit+ seconds later, if that is not nil, what is left is cut off.
    # @param signal [String] named in the log
    # @param limit [Numeric, nil] seconds
    # @api private
    def drain(signal, limit)
      operations&.stopping
      @server&.drain(signal, limit)
    end

    # Writes the numbers of now into the process title. The server does so by itself, at most once a second.
    #
    #   ProxyMachine.update_procline # for a config that has changed $0
    #
    # @return [void]
    def update_procline
      operations&.show(stats)
      $0 = "proxymachine #{VERSION} - #{@name} #{@server&.addresses&.first} - #{stats} cur/max/tot conns"
    end

    private

    def port_number(port)
      number = Integer(port, exception: false)
      return number if number&.between?(0, 65_535)

      raise StartError, "invalid port #{port.inspect}: it is a number from 0 to 65535"
    end

    def announce(admin)
      return if operations&.silent?

      @server.addresses.each { |address| LOGGER.info "Listening on #{address}" }
      LOGGER.info "Send QUIT to quit after waiting for all connections to finish."
      LOGGER.info "Send TERM or INT to quit after waiting for up to #{MAX_FAST_SHUTDOWN_SECONDS} seconds " \
                  "for connections to finish."
      LOGGER.info "Metrics and status on #{admin}" if admin
    rescue StandardError => e
      raise ConfigError, "LOGGER cannot write: #{e.message.lines.first&.chomp} (#{e.class})"
    end
  end
end
