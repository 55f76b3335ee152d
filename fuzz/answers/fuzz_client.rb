# frozen_string_literal: true

require "socket"

# A client of the proxy. Its connection must end, whatever the block answers.
class FuzzClient
  # A longer wait means that the proxy has lost the connection. Eleven connection attempts take a second or two.
  DEADLINE = 60

  # Seconds that a client waits before it shuts down its side: usually enough for all connection attempts.
  EOF_DELAY = 1.5

  class Stuck < StandardError; end

  def initialize(port)
    @port = port
  end

  # Requests the answer of this number. The number also decides how the client behaves.
  def request(number)
    socket = connect
    socket.write("#{number}\n")
    case number % 16
    when 0..1 then return socket.setsockopt(Socket::Option.linger(true, 0))
    when 2..3 then sleep(0.001) && socket.write("more")
    when 4 then wait_for_end(socket)
    end
    finish(socket)
  rescue Errno::ECONNRESET, Errno::EPIPE, Errno::ENOTCONN
    nil # a reset is an end, too
  ensure
    socket&.close
  end

  # Whether the proxy still routes to the echo backend.
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

  # Keeps the client's side open, so that the proxy reports errors and calls the failure callbacks.
  def wait_for_end(socket)
    read(socket, EOF_DELAY)
  rescue Stuck
    nil # the backend may wait for the client's end of file
  end

  # Shuts down the client's side and reads the rest.
  def finish(socket)
    socket.shutdown(:WR)
    read(socket, DEADLINE)
  end

  def read(socket, limit)
    data = +"".b
    deadline = now + limit
    while (chunk = socket.read_nonblock(65_536, exception: false))
      next data << chunk unless chunk == :wait_readable
      raise Stuck, "no end after #{limit} s" if now > deadline

      socket.wait_readable(0.5)
    end
    data
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
