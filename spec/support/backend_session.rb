# frozen_string_literal: true

# One connection of a backend: the bytes that it received, and how it ended. The thread of #serve alone reads, writes
# and closes. Examples watch: a thread that waits for a socket which another thread closes gets an IOError.
class BackendSession
  attr_reader :socket, :received, :sent, :failure

  def initialize(socket)
    @socket = socket
    @received = +"".b
    @sent = 0
    @ended = false
    @thread = nil
  end

  # Returns the next chunk, or nil at end of file.
  def read
    raise ThreadError, "another thread serves this connection: use await_received" if @thread != Thread.current

    data = @socket.readpartial(262_144)
    @received << data
    data
  rescue EOFError
    @ended = true
    nil
  end

  def read_until(size)
    read while @received.bytesize < size && !@ended
    @received
  end

  # Waits, in an example, until the backend has received so many bytes. Returns all bytes.
  def await_received(size)
    Eventually.eventually { @received.bytesize >= size }
    @received
  end

  def write(data)
    @sent += @socket.write(data)
  end

  # Reads until the proxy shuts down its side.
  def drain
    nil while read
    @received
  end

  # Whether the proxy shut down its side or the connection failed.
  def ended?
    @ended || !@failure.nil?
  end

  # Ends its side; it can still read.
  def finish
    @socket.close_write
  end

  def close
    @socket.close
  end

  def reset
    @socket.setsockopt(Socket::Option.linger(true, 0))
    @socket.close
  end

  def serve
    @thread = Thread.current
    yield self
  rescue SystemCallError, IOError => e
    @failure = e
  ensure
    @socket.close
  end
end
