# frozen_string_literal: true

require "socket"

# One connection to the proxy, which has to end however odd the answer is.
class Conversation
  # No wait is longer, unless the proxy has forgotten the connection. Eleven attempts to connect take a second or two.
  DEADLINE = 60

  # How long a client waits before it ends its side. Long enough for all attempts to connect, usually.
  PATIENCE = 1.5

  class Stuck < StandardError; end

  def initialize(port)
    @port = port
  end

  # Asks for the answer of that number. Clients are not all alike.
  def ask_for(number)
    socket = connect
    socket.write("#{number}\n")
    case number % 16
    when 0..1 then return socket.setsockopt(Socket::Option.linger(true, 0))
    when 2..3 then sleep(0.001) && socket.write("more")
    when 4 then wait_for_end(socket)
    end
    finish(socket)
  rescue Errno::ECONNRESET, Errno::EPIPE, Errno::ENOTCONN
    nil # That is an end, too.
  ensure
    socket&.close
  end

  # Whether the proxy still does its work.
  def echoes?(text)
    socket = connect
    socket.write(text)
    finish(socket) == text
  ensure
    socket&.close
  end

  private

  def connect
    Socket.tcp("127.0.0.1", @port, connect_timeout: DEADLINE)
  end

  # A client that has not ended its side is told of errors, and callbacks are called.
  def wait_for_end(socket)
    read(socket, PATIENCE)
  rescue Stuck
    nil # It may as well be joined with a backend that awaits the client's end.
  end

  # Ends this side and reads what there still is.
  def finish(socket)
    socket.shutdown(:WR)
    read(socket, DEADLINE)
  end

  def read(socket, limit)
    data = +"".b
    deadline = now + limit
    while (piece = socket.read_nonblock(65_536, exception: false))
      next data << piece unless piece == :wait_readable
      raise Stuck, "not over after #{limit} s" if now > deadline

      socket.wait_readable(0.5)
    end
    data
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
