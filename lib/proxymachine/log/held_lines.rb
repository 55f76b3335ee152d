# frozen_string_literal: true

class ProxyMachine
  module Log
    # Lines that a device has not taken yet, in order and up to a limit.
    # @api private
    class HeldLines
      # Bytes that are held.
      LIMIT = 4 << 20
      private_constant :LIMIT

      def initialize
        clear
      end

      # Forgets all lines.
      def clear
        @texts = []
        @bytes = 0
      end

      # Whether nothing is held.
      def empty? = @texts.empty?

      # @return [Integer] the number of lines
      def count = @texts.sum { |text| text.b.count("\n") }

      # Adds the lines that fit.
      # @param text [String]
      # @return [String] the other lines
      def add(text)
        room = LIMIT - @bytes
        fitting = text.bytesize <= room ? text : text.byteslice(0, room).b[/.*\n/m].to_s
        @texts << fitting unless fitting.empty?
        @bytes += fitting.bytesize
        text.byteslice(fitting.bytesize, text.bytesize)
      end

      # Writes as many lines as the device takes.
      # @param output [NonblockingOutput]
      # @return [Boolean] whether it has taken all
      def write(output)
        until @texts.empty?
          text = @texts.first
          rest = output.write(text)
          @bytes -= text.bytesize - rest.bytesize
          rest.empty? ? @texts.shift : @texts[0] = rest
          return false unless rest.empty?
        end
        true
      end
    end
  end
end
