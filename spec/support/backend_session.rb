# frozen_string_literal: true

# One connection as a backend sees it: what it received, and how it ended.
class BackendSession
  attr_reader :socket, :received, :sent, :failure

  def initialize(socket)
    @socket = socket
    @received = +"".b
    @sent = 0
    @ended = false
  end

  # The next chunk, or nil at the end.
  def read
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

  def write(data)
    @sent += @socket.write(data)
  end

  # Reads everything until the proxy ends its side.
  def drain
    nil while read
    @received
  end

  # The proxy ended its side, or the connection broke.
  def ended?
    @ended || !@failure.nil?
  end

  def close
    @socket.close
  end

  def reset
    @socket.setsockopt(Socket::Option.linger(true, 0))
    @socket.close
  end

  def serve
    yield self
  rescue SystemCallError, IOError => e
    @failure = e
  ensure
    @socket.close
  end
end
