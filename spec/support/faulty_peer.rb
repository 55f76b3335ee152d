# frozen_string_literal: true

# One end of a connection that the example controls. `connect` returns the client's end, FaultyBackend#accept the
# backend's.
class FaultyPeer < Client
  def self.connect(port)
    new(Socket.tcp("127.0.0.1", port, connect_timeout: Eventually::DEADLINE))
  end

  def initialize(socket) # rubocop:disable Lint/MissingSuper -- the socket exists already
    @socket = socket
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    track
  end

  # Sends a FIN or an RST.
  def disconnect_by(segment)
    segment == :FIN ? finish : reset
  end

  # Sends each byte in a packet of its own.
  def drip(data, pause: 0.001)
    data.each_char do |byte|
      write(byte)
      sleep pause
    end
    self
  end

  # Writes until the socket stays unwritable for a while. Returns the number of bytes written.
  def fill
    block = "x" * 65_536
    written = 0
    while @socket.wait_writable(0.3)
      count = @socket.write_nonblock(block, exception: false)
      written += count unless count == :wait_writable
    end
    written
  end
end
