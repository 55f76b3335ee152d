# frozen_string_literal: true

require "io/console"
require "io/wait"
require "optparse"
require_relative "errors"
require_relative "settings"
require_relative "text"
require_relative "status"
require_relative "frame"

class ProxyMachine
  # `proxymachine top`: what a running server does, in a terminal.
  # @api private
  class Top
    ALTERNATE = "\e[?1049h\e[?25l"
    BACK = "\e[?25h\e[?1049l"
    HOME = "\e[H"
    CLEAR_LINE = "\e[K"
    CLEAR_REST = "\e[J"
    BOLD = "\e[1m"
    PLAIN = "\e[m"
    private_constant :ALTERNATE, :BACK, :HOME, :CLEAR_LINE, :CLEAR_REST, :BOLD, :PLAIN

    # @param arguments [Array<String>] those after "top"
    # @return [Integer] exit status
    # @raise [UsageError] if they cannot be understood
    # @raise [Error] if nobody answers
    def self.start(arguments)
      new.start(arguments)
    end

    # @see Top.start
    def start(arguments)
      @interval = 1.0
      parser.parse!(arguments)
      return help if @help
      raise UsageError, "top takes no argument #{arguments.first.inspect}" if arguments.any?
      raise UsageError, "which server? --admin 127.0.0.1:9432" unless @status

      @once || !$stdout.tty? ? once : follow
      0
    rescue OptionParser::ParseError => e
      raise UsageError, e.message
    end

    # @return [OptionParser] all flags, each with the text that --help and the man page show
    def parser
      OptionParser.new do |options|
        options.banner = "Usage:\n  proxymachine top --admin <address>\n\nOptions:"
        options.on("--admin ADDRESS", "The server's: host:port or unix:/path") { |text| @status = status(text) }
        options.on("--interval SECONDS", Float, "Time between two looks. Default 1") do |time|
          @interval = interval(time)
        end
        options.on("--once", "Look once, and print it") { @once = true }
        options.on("--help", "Show this text") { @help = options.help }
      end
    end

    private

    def status(text)
      Status.new(Settings::ALL.fetch(:admin).reader.call(text))
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

    def once
      _, width = $stdout.winsize if $stdout.tty?
      puts Frame.new(@status.fetch).lines(width || 200, 1000)
    rescue Status::Unavailable => e
      raise Error, e.message
    end

    # Draws until somebody has enough. However that ends, the terminal is as it was.
    def follow
      $stdout.print ALTERNATE
      $stdin.tty? ? $stdin.raw(intr: true) { draw until enough? } : (draw until enough?)
    rescue Interrupt
      nil
    ensure
      $stdout.print BACK
    end

    def draw
      height, width = $stdout.winsize
      head, *rest = content(width, height).map { |line| "#{line}#{CLEAR_LINE}" }
      $stdout.print HOME, BOLD, head, PLAIN, *rest.flat_map { |line| ["\r\n", line] }, CLEAR_REST
      $stdout.flush
    end

    # A server that ends, or that is started again, is no reason to leave.
    def content(width, height)
      Frame.new(@status.fetch).lines(width, height)
    rescue Status::Unavailable => e
      [e.message[0, width]]
    end

    # Waits for the next look, and whether somebody wants none. A window of another size is drawn anew at once.
    def enough?
      size = $stdout.winsize
      limit = now + @interval
      leaves = false
      leaves = leaving? until leaves || now >= limit || $stdout.winsize != size
      leaves
    end

    # Takes a tenth of a second, unless a key is pressed. No more keys to come: the terminal is gone.
    def leaving?
      if $stdin.tty?
        $stdin.wait_readable(0.1) ? ["q", "Q", "\u0004", nil].include?($stdin.getc) : false
      else
        sleep 0.1
        false
      end
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
