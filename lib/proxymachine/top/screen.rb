# frozen_string_literal: true

require "io/console"
require "io/wait"

class ProxyMachine
  class Top
    # Draws lines on the terminal again and again, until a key ends that. The terminal is restored afterwards.
    # @api private
    class Screen
      # Control sequences of xterm.
      ENTER = "\e[?1049h\e[?25l"
      LEAVE = "\e[?25h\e[?1049l"
      HOME = "\e[H"
      CLEAR_LINE = "\e[K"
      CLEAR_REST = "\e[J"
      BOLD = "\e[1m"
      PLAIN = "\e[m"
      # End of transmission, nil: the terminal is gone.
      QUIT_KEYS = ["q", "Q", "\u0004", nil].freeze
      # Seconds between two looks at the keys and at the window's size.
      POLL_INTERVAL = 0.1
      private_constant :ENTER, :LEAVE, :HOME, :CLEAR_LINE, :CLEAR_REST, :BOLD, :PLAIN, :QUIT_KEYS, :POLL_INTERVAL

      # @param interval [Numeric] seconds between two drawings
      # @yieldparam width [Integer]
      # @yieldparam height [Integer]
      # @yieldreturn [Array<String>] lines that fit; the first one becomes bold
      def initialize(interval, &lines)
        @interval = interval
        @lines = lines
      end

      # Draws until q, Ctrl-C or the end of the terminal.
      def run
        $stdout.print ENTER
        $stdin.tty? ? $stdin.raw(intr: true) { draw until quit? } : (draw until quit?)
      rescue Interrupt
        nil
      ensure
        $stdout.print LEAVE
      end

      private

      def draw
        height, width = $stdout.winsize
        head, *rest = @lines.call(width, height).map { |line| "#{line}#{CLEAR_LINE}" }
        $stdout.print HOME, BOLD, head, PLAIN, *rest.flat_map { |line| ["\r\n", line] }, CLEAR_REST
        $stdout.flush
      end

      # Waits for the next drawing, or for a key that quits. A window of another size is drawn again at once.
      def quit?
        size = $stdout.winsize
        limit = now + @interval
        is_quit = false
        is_quit = quit_key? until is_quit || now >= limit || $stdout.winsize != size
        is_quit
      end

      def quit_key?
        if $stdin.tty?
          $stdin.wait_readable(POLL_INTERVAL) ? QUIT_KEYS.include?($stdin.getc) : false
        else
          sleep POLL_INTERVAL
          false
        end
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
