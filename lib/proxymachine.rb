# frozen_string_literal: true

require "logger"
require "socket"
require_relative "proxymachine/version"
require_relative "proxymachine/errors"
require_relative "proxymachine/safe_inspect"
require_relative "proxymachine/config"
require_relative "proxymachine/client"
require_relative "proxymachine/server"
require_relative "proxymachine/lifecycle/runner"
require_relative "proxymachine/lifecycle/signals"
require_relative "proxymachine/dsl"
require_relative "proxymachine/sniffers"

# 1.2.4 loaded these libraries, and configs use them without a +require+.
autoload :YAML, "yaml"
autoload :EventMachine, "eventmachine"
autoload :EM, "eventmachine"

# Lines of a redirected log must not stay in a buffer.
$stdout.sync = true

# ProxyMachine's log. A config may assign another logger, which must respond to +info+, +warn+ and +error+. Each line
# goes to the current value of the constant.
#
#   LOGGER = Logger.new("/var/log/proxymachine.log")
LOGGER = Logger.new($stdout) unless defined?(LOGGER)

# A TCP proxy that asks a Ruby block where each connection goes.
#
#   require "proxymachine"
#   proxy { |data| data.start_with?("a") ? { :remote => "127.0.0.1:9001" } : { :close => true } }
#   ProxyMachine.run("example", "127.0.0.1", 5432)
class ProxyMachine
  autoload :Certificates, "#{__dir__}/proxymachine/extension"
  autoload :Authorities, "#{__dir__}/proxymachine/extension"

  # Seconds that open connections have to end after TERM or INT.
  MAX_FAST_SHUTDOWN_SECONDS = 10

  extend Config::Candidate

  class << self
    # Sets the hooks that a run calls. The command line does so.
    # @api private
    attr_writer :runner

    # Returns the hooks that a run calls.
    # @return [Lifecycle::Runner]
    # @api private
    def runner
      @runner ||= Lifecycle::Runner.new
    end

    # Sets the callable that decides where connections go, as the verb +proxy+ does. It takes effect for the next
    # decision.
    #
    #   ProxyMachine.set_router(lambda { |data| "10.0.0.1:80" })
    #
    # @param callable [Proc, Method, #call] takes a String and perhaps a Client, and returns an answer, as
    #   docs/reference.md lists them
    # @param listener [Symbol, String, nil] the name of the listener for whose clients it is; nil for all others
    # @return [void]
    # @raise [ConfigError] if +listener+ cannot be a name
    def set_router(callable, listener = nil)
      edited_config.blocks.set_router(callable, listener)
    end

    # Returns the callable of the last +proxy+ or {set_router}.
    #
    #   ProxyMachine.router # => nil
    #
    # @return [#call, nil] nil if none was set
    def router
      configuration.blocks.router&.given
    end

    # Sets the block that is called when a backend could not be reached, or closed without sending a byte, as the verb
    # +proxy_connect_error+ does.
    #
    #   ProxyMachine.set_connect_error_callback { |remote| LOGGER.warn("#{remote} is down") }
    #
    # @yieldparam remote [String] "host:port"
    # @yieldreturn [Hash, Object] with +:remote+ another backend, or with +:close+ last words; other values have no
    #   effect
    # @return [void]
    def set_connect_error_callback(&block)
      edited_config.blocks.set(:connect_error, block)
    end

    # Returns the block of the last +proxy_connect_error+ or {set_connect_error_callback}.
    #
    #   ProxyMachine.connect_error_callback&.call("10.0.0.1:80")
    #
    # @return [Proc, nil] nil if none was set
    def connect_error_callback
      configuration.blocks[:connect_error]&.given
    end

    # Sets the block that is called when a backend did not send its first byte within the answer's
    # +:inactivity_timeout+, as the verb +proxy_inactivity_error+ does.
    #
    #   ProxyMachine.set_inactivity_error_callback { |remote| LOGGER.warn("#{remote} is silent") }
    #
    # @yieldparam remote [String] "host:port"
    # @yieldreturn [Hash, Object] with +:close+ last words; other values have no effect
    # @return [void]
    def set_inactivity_error_callback(&block)
      edited_config.blocks.set(:inactivity_error, block)
    end

    # Returns the block of the last +proxy_inactivity_error+ or {set_inactivity_error_callback}.
    #
    #   ProxyMachine.inactivity_error_callback # => nil
    #
    # @return [Proc, nil] nil if none was set
    def inactivity_error_callback
      configuration.blocks[:inactivity_error]&.given
    end

    # Serves until QUIT, TERM or INT, or until a shutdown method is called. The traps of the three signals are installed
    # while it runs.
    #
    #   proxy { "10.0.0.1:80" }
    #   ProxyMachine.run("example", "127.0.0.1", 8080)
    #
    # @param name [String, Symbol] shown in the process title
    # @param host [String, nil] address or name to listen on; nil for the config's +listen+ only
    # @param port [Integer, String, nil] port to listen on; 0 takes a free one
    # @return [void] after all connections have ended
    # @raise [ConfigError] if there is no +proxy+ block, a listener has no block, or a block no listener
    # @raise [StartError] if an address cannot be listened on, or the user cannot be switched to
    # @raise [ExtensionError] if the native extension cannot be loaded
    # @raise [ForkError] in a child that a block forked, if the block returns there
    # @raise [SystemExit] with status 1 if connections had to be cut off
    def run(name, host, port)
      raise ConfigError, "no routing: call proxy { |data| ... } first" unless configuration.blocks.routing?

      require_relative "proxymachine/extension"
      Upstreams::Lister.load(configuration.upstreams)
      Server::DescriptorLimit.raise_to_maximum
      first = host && Config::Address.text("#{host}:#{port_number(port)}")
      @server = Server.new(configuration, first, runner.sockets)
      admin = @server.bind_admin(name.to_s)
      runner.bound(@server)
      configuration.drop_privileges
      @name = name
      update_procline
      outcome = Lifecycle::Signals.handled { @server.run { announce(admin) } }
      exit(1) if outcome == :forced
    end

    # Returns the numbers of connections.
    #
    #   ProxyMachine.stats # => "0/0/0"
    #
    # @return [String] "current/maximum/total"
    def stats
      (@server ? @server.stats : [0, 0, 0]).join("/")
    end

    # Returns the number of open connections.
    #
    #   ProxyMachine.count # => 0
    #
    # @return [Integer] open client connections
    def count
      @server ? @server.stats.first : 0
    end

    # Stops accepting. {run} returns when the last connection has ended. May be called from a trap.
    #
    #   trap("USR2") { ProxyMachine.graceful_shutdown("USR2") }
    #
    # @param signal [String] named in the log
    # @return [void]
    def graceful_shutdown(signal)
      drain(signal, nil)
    end

    # Stops accepting. Connections that are still open after {MAX_FAST_SHUTDOWN_SECONDS} are cut off, and {run} exits
    # with status 1. May be called from a trap.
    #
    #   ProxyMachine.fast_shutdown("TERM")
    #
    # @param signal [String] named in the log
    # @return [void]
    def fast_shutdown(signal)
      drain(signal, MAX_FAST_SHUTDOWN_SECONDS)
    end

    # Stops accepting, and cuts off all connections at once. May be called from a trap.
    #
    #   ProxyMachine.immediate_shutdown("INT")
    #
    # @param signal [String] named in the log
    # @return [void]
    def immediate_shutdown(signal)
      drain(signal, 0)
    end

    # Stops accepting.
    # @param signal [String] named in the log
    # @param limit [Numeric, nil] seconds after which connections are cut off
    # @api private
    def drain(signal, limit)
      runner.stopping
      @server&.drain(signal, limit)
    end

    # Writes the numbers of connections into the process title. The server does so by itself, at most once a second.
    #
    #   ProxyMachine.update_procline # after a config has changed $0
    #
    # @return [void]
    def update_procline
      runner.show(stats)
      $0 = "proxymachine #{VERSION} - #{@name} #{@server&.addresses&.first} - #{stats} cur/max/tot conns"
    end

    private

    def port_number(port)
      number = Integer(port, exception: false)
      return number if number&.between?(0, 65_535)

      raise StartError, "invalid port #{port.inspect}: it is a number from 0 to 65535"
    end

    def announce(admin)
      return unless runner.announces?

      lines = @server.addresses.map { |address| "Listening on #{address}" }
      lines << "Send QUIT to quit after waiting for all connections to finish."
      lines << "Send TERM or INT to quit after waiting for up to #{MAX_FAST_SHUTDOWN_SECONDS} seconds " \
               "for connections to finish."
      lines << "Metrics and status on #{admin}" if admin
      Log.writer.log(lines.map { |line| [:info, line] })
    rescue StandardError => e
      raise ConfigError, "LOGGER cannot write: #{SafeInspect.message(e)} (#{e.class})"
    end
  end
end
