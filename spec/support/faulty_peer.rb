# frozen_string_literal: true

# One end of a connection that does what it is told, when it is told, and nothing by itself. On the client's side of the
# proxy it is made by `connect`, on the server's side by FaultyBackend#accept.
class FaultyPeer < Client
  def self.connect(port)
    new(Socket.tcp("127.0.0.1", port, connect_timeout: Eventually::DEADLINE))
  end

  def initialize(socket) # rubocop:disable Lint/MissingSuper -- the socket is there already
    @socket = socket
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    own
  end

  # Sends its FIN or its RST.
  def leave_by(manner)
    manner == :FIN ? finish : reset
  end

  # Each byte in a packet of its own.
  def drip(data, pause: 0.001)
    data.each_char do |byte|
      write(byte)
      sleep pause
    end
    self
  end

  # Writes until the other side takes no more for a while; returns how many bytes that were.
  def fill
    block = "x" * 65_536
    written = 0
    while @socket.wait_writable(0.3)
      count = @socket.write_nonblock(block, exception: false)
      written += count unless count == :wait_writable
    end
    written
  end

  # How the other side ended the connection, once it has: its FIN or its RST. What came before is thrown away.
  def heard
    read_all
    :FIN
  rescue Errno::ECONNRESET, Errno::EPIPE
    :RST
  end
end
