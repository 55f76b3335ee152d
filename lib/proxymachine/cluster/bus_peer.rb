# frozen_string_literal: true

require "json"

class ProxyMachine
  class Cluster
    # A worker as the Bus sees it: lines of JSON on a socket that never blocks.
    # @api private
    class BusPeer
      # Bytes read at once.
      CHUNK_SIZE = 1 << 16
      private_constant :CHUNK_SIZE

      # @return [UNIXSocket]
      attr_reader :socket
      # @return [Boolean, nil] whether the worker leads or has led
      attr_accessor :has_led

      # @param socket [UNIXSocket]
      def initialize(socket)
        @socket = socket
        @input = +""
        @output = +""
      end

      # Adds a message to what is to be written.
      # @param message [Array]
      def send_line(message)
        @output << JSON.generate(message) << "\n"
      end

      # Whether there is something to write.
      def pending? = !@output.empty?

      # Reads what has come.
      # @return [Array<Array>, nil] messages; nil if the worker has ended
      def read
        data = @socket.read_nonblock(CHUNK_SIZE, exception: false)
        return [] if data == :wait_readable
        return unless data

        *lines, @input = (@input << data).split("\n", -1)
        lines.map { |line| JSON.parse(line) }
      rescue SystemCallError, IOError
        nil
      end

      # Writes what the socket takes.
      # @return [Boolean] whether the worker may still read
      def write
        written = @socket.write_nonblock(@output, exception: false)
        @output = @output.byteslice(written..) if written.is_a?(Integer)
        true
      rescue SystemCallError, IOError
        false
      end
    end
  end
end
