# frozen_string_literal: true

require "optparse"
require_relative "config/settings"
require_relative "errors"
require_relative "top/client"
require_relative "top/screen"

class ProxyMachine
  # `proxymachine top`: shows the status of a running server in a terminal.
  # @api private
  class Top
    # The width if standard output is no terminal.
    WIDTH = 200
    private_constant :WIDTH

    # @param arguments [Array<String>] the arguments after "top"
    # @return [Integer] exit status
    # @raise [UsageError] if they cannot be understood
    # @raise [Error] if the server does not answer
    def self.start(arguments)
      new.start(arguments)
    end

    # @see Top.start
    def start(arguments)
      @interval = 1.0
      parser.parse!(SafeInspect.arguments!(arguments))
      return help if @help
      raise UsageError, "top takes no argument #{arguments.first.inspect}" if arguments.any?
      raise UsageError, "which server? --admin 127.0.0.1:9432" unless @client

      @is_once || !$stdout.tty? ? print_once : follow
      0
    rescue OptionParser::ParseError => e
      raise UsageError, SafeInspect.message(e)
    end

    # @return [OptionParser] all flags, with their texts for --help and the man page
    def parser
      OptionParser.new do |options|
        options.banner = "Usage:\n  proxymachine top --admin <address>\n\nOptions:"
        options.on("--admin ADDRESS", "Address of the server's admin: host:port or unix:/path") do |text|
          @client = client(text)
        end
        options.on("--interval SECONDS", Float, "Time between two updates. Default 1") do |time|
          @interval = interval(time)
        end
        options.on("--once", "Print the status once, and exit") { @is_once = true }
        options.on("--help", "Show this text") { @help = options.help }
      end
    end

    private

    def client(text)
      Client.new(Config::Settings::ALL.fetch(:admin).reader.call(text))
    rescue ConfigError => e
      raise UsageError, "--admin #{e.message}"
    end

    def interval(time)
      time.between?(0.1, 3600) ? time : raise(UsageError, "--interval takes 0.1 to 3600 seconds, not #{time}")
    end

    def help
      puts @help
      0
    end

    def print_once
      _, width = $stdout.winsize if $stdout.tty?
      puts @client.fetch(width || WIDTH)
    rescue Client::Unavailable => e
      raise Error, e.message
    end

    # Goes on while the server does not answer, because it may be restarting.
    def follow
      screen = Screen.new(@interval) do |width, height|
        @client.fetch(width).first(height)
      rescue Client::Unavailable => e
        [e.message[0, width]]
      end
      screen.run
    end
  end
end
