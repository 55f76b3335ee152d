# frozen_string_literal: true

require "logger"
require "socket"
require_relative "proxymachine/version"
require_relative "proxymachine/errors"
require_relative "proxymachine/callable"
require_relative "proxymachine/text"
require_relative "proxymachine/log_format"
require_relative "proxymachine/handler"
require_relative "proxymachine/signals"
require_relative "proxymachine/server"
require_relative "proxymachine/verbs"

# 1.2.4 loaded these, and configs use them without saying so.
autoload :YAML, "yaml"
autoload :EventMachine, "eventmachine"
autoload :EM, "eventmachine"

# A redirected log must not lag behind.
$stdout.sync = true

# Everything that ProxyMachine has to say goes to whatever LOGGER is at that moment: a config may
# reassign it.
LOGGER = Logger.new($stdout) unless defined?(LOGGER)

# A TCP proxy that asks a Ruby block where each connection goes.
#
#   require "proxymachine"
#   proxy { |data| data.start_with?("a") ? { :remote => "127.0.0.1:9001" } : { :close => true } }
#   ProxyMachine.run("example", "127.0.0.1", 5432)
class ProxyMachine
  # Seconds that TERM and INT leave to open connections.
  MAX_FAST_SHUTDOWN_SECONDS = 10

  class << self
    # What was given to +proxy+ or #set_router, and what #set_connect_error_callback and
    # #set_inactivity_error_callback were given; nil before that.
    # @return [#call, nil]
    attr_reader :router, :connect_error_callback, :inactivity_error_callback

    # The same three as they are called: see Callable.
    # @return [#call, nil]
    attr_reader :routing, :on_connect_error, :on_inactivity_error

    # Sets what decides where connections go. Takes effect for the next decision.
    # @param callable [Proc, Method, #call] gets a String, answers as docs/compatibility.md lists
    def set_router(callable) # rubocop:disable Naming/AccessorMethodName
      @routing = Callable.wrap(callable)
      @router = callable
    end

    # Sets what is called with "host:port" when a backend could not be reached, or closed without a
    # byte.
    def set_connect_error_callback(&block)
      @on_connect_error = block && Callable.wrap(block)
      @connect_error_callback = block
    end

    # Sets what is called with "host:port" when a backend did not send its first byte in time.
    def set_inactivity_error_callback(&block)
      @on_inactivity_error = block && Callable.wrap(block)
      @inactivity_error_callback = block
    end

    # Serves on +host+ and +port+ until QUIT, TERM or INT. Installs these three traps.
    #
    # @param name [String] shown in the process title
    # @param host [String] address or name to listen on
    # @param port [Integer, String] 0 takes a free one
    # @raise [ConfigError] if there is no +proxy+ block
    # @raise [StartError] if the address cannot be listened on
    # @raise [SystemExit] with status 1 if connections had to be cut off
    def run(name, host, port)
      raise ConfigError, "no routing: call proxy { |data| ... } first" unless router

      load_extension
      @server = Server.new(host.to_s, port_number(port))
      @name = name
      @listen = "#{host}:#{@server.port}"
      update_procline
      outcome = Signals.handled do
        announce
        @server.run
      end
      exit(1) if outcome == :forced
    end

    # @return [String] connections: "current/max/total"
    def stats
      (@server ? @server.stats : [0, 0, 0]).join("/")
    end

    # @return [Integer] connections that are open now
    def count
      @server ? @server.stats.first : 0
    end

    # Stops accepting and ends when the last connection has ended. May be called from a trap.
    # @param signal [String] named in the log
    def graceful_shutdown(signal)
      @server&.drain(signal, nil)
    end

    # The same, but after MAX_FAST_SHUTDOWN_SECONDS what is left is cut off.
    def fast_shutdown(signal)
      @server&.drain(signal, MAX_FAST_SHUTDOWN_SECONDS)
    end

    # Writes the numbers of now into the process title.
    def update_procline
      $0 = "proxymachine #{VERSION} - #{@name} #{@listen} - #{stats} cur/max/tot conns"
    end

    private

    def port_number(port)
      number = Integer(port, exception: false)
      return number if number&.between?(0, 65_535)

      raise StartError, "invalid port #{port.inspect}: it is a number from 0 to 65535"
    end

    def load_extension
      require_relative "proxymachine/proxymachine"
    rescue LoadError => e
      raise ExtensionError, "the native extension is not built (#{e.message}): " \
                            "run `rake compile`, or install the gem again"
    end

    def announce
      LOGGER.info "Listening on #{@listen}"
      LOGGER.info "Send QUIT to quit after waiting for all connections to finish."
      LOGGER.info "Send TERM or INT to quit after waiting for up to #{MAX_FAST_SHUTDOWN_SECONDS} seconds " \
                  "for connections to finish."
    end
  end
end
