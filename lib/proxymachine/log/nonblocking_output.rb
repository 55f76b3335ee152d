# frozen_string_literal: true

require "socket"

class ProxyMachine
  module Log
    # Writes to a pipe, a socket or a terminal without blocking.
    #
    # O_NONBLOCK belongs to the open file description, which other processes share. So the file is opened once more. If
    # the system does not allow that, poll(2) precedes each write: a pipe that it reports as writable has room for PIECE
    # bytes.
    # @api private
    class NonblockingOutput
      # PIPE_BUF of Linux. A pipe takes that many bytes at once or not at all, so the lines of several processes do not
      # mix.
      PIECE = 4096
      # Pieces of one turn. Between two turns, other threads may write. The serving thread is one of them.
      PIECES = 16
      private_constant :PIECE, :PIECES

      # @return [Float] time of the last write
      attr_reader :progress

      # @param device [IO]
      def initialize(device)
        @device = device
        @progress = 0
        stat = device.stat
        @inode = stat.ino
        @filesystem = stat.dev
        device.sync = true # Otherwise the config's own lines would follow much later.
        @output = stat.socket? ? socket : reopened
      end

      # Whether a logger's device is still the same file: +Logger#reopen+ and +$stdout.reopen+ exchange it.
      # @param device [Object]
      def for?(device)
        return false unless @device.equal?(device)

        stat = @device.stat
        stat.ino == @inode && stat.dev == @filesystem
      rescue SystemCallError, IOError
        false
      end

      # Allows the next PIECES.
      def begin_turn
        @pieces = PIECES
      end

      # @param text [String] lines
      # @return [String] those that the device has not taken in this turn
      # @raise [SystemCallError, IOError]
      def write(text)
        until text.empty?
          return text unless @pieces.positive?

          written = emit(first_piece(text))
          return text if written == :wait_writable

          @pieces -= 1
          @progress = Log.now
          text = text.byteslice(written, text.bytesize)
        end
        text
      end

      # @return [Object, nil] nil after the timeout
      def wait_writable(seconds = nil) = (@output || @device).wait_writable(seconds)

      # Closes what was opened, so that the reader of a pipe sees its end. Later lines go to the device itself.
      def close
        output = @output
        @output = nil
        output.close if output.is_a?(File)
      end

      private

      def reopened
        File.open("/proc/self/fd/#{@device.fileno}", File::WRONLY | File::NONBLOCK | File::NOCTTY)
      rescue SystemCallError
        nil
      end

      def socket
        BasicSocket.for_fd(@device.fileno).tap { |socket| socket.autoclose = false }
      end

      # Returns the complete lines that fit into PIECE, or the beginning of a longer line.
      def first_piece(text)
        return text if text.bytesize <= PIECE

        piece = text.byteslice(0, PIECE).b
        last = piece.rindex("\n")
        last ? piece.byteslice(0, last + 1) : piece
      end

      def emit(piece)
        case @output
        when nil then @device.wait_writable(0) ? @device.syswrite(piece) : :wait_writable
        when BasicSocket then @output.sendmsg_nonblock(piece, exception: false)
        else @output.write_nonblock(piece, exception: false)
        end
      rescue IO::WaitWritable
        :wait_writable
      end
    end
  end
end
