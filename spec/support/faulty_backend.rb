# frozen_string_literal: true

# A backend in the hands of the example: it refuses until told to `listen`, accepts when told to, and its connections do
# what they are told.
class FaultyBackend
  include Owned

  attr_reader :port

  # A small receive buffer makes for a backend that takes little as long as it does not read.
  def initialize(listening: true, receive_buffer: nil, host: "127.0.0.1", port: 0)
    @socket = Socket.new(:INET, :STREAM)
    @socket.setsockopt(:SOCKET, :REUSEADDR, true)
    @socket.setsockopt(:SOCKET, :RCVBUF, receive_buffer) if receive_buffer
    @socket.bind(Addrinfo.tcp(host, port))
    @host = host
    @port = @socket.local_address.ip_port
    own
    listen if listening
  end

  def address
    "#{@host}:#{port}"
  end

  def mark; end

  def listen
    @socket.listen(128)
    self
  end

  # The next connection, as soon as it is there.
  def accept
    await_connection
    FaultyPeer.new(@socket.accept.first)
  end

  # Until a connection stands in the backlog, unaccepted.
  def await_connection
    @socket.wait_readable(Eventually::DEADLINE) or raise "nobody connected within #{Eventually::DEADLINE} s"
  end

  def untouched?
    @socket.wait_readable(0).nil?
  end

  # Stops listening, which resets who stands in the backlog.
  def stop
    disown
    @socket.close
  end
end
