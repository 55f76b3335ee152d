# frozen_string_literal: true

# A backend that the example controls: when it listens, when it accepts, and what each of its connections does.
class FaultyBackend
  include ResourceTracking

  attr_reader :port

  # With a small receive buffer, a backend that does not read accepts only a few bytes.
  def initialize(listening: true, receive_buffer: nil, host: "127.0.0.1", port: 0)
    @socket = Socket.new(:INET, :STREAM)
    @socket.setsockopt(:SOCKET, :REUSEADDR, true)
    @socket.setsockopt(:SOCKET, :RCVBUF, receive_buffer) if receive_buffer
    @socket.bind(Addrinfo.tcp(host, port))
    @host = host
    @port = @socket.local_address.ip_port
    track
    listen if listening
  end

  def address
    "#{@host}:#{port}"
  end

  def listen
    @socket.listen(128)
    self
  end

  # Waits for the next connection and returns it as a FaultyPeer.
  def accept
    await_connection
    FaultyPeer.new(@socket.accept.first)
  end

  # Waits until a connection is in the backlog.
  def await_connection
    @socket.wait_readable(Eventually::DEADLINE) or raise "no connection within #{Eventually::DEADLINE} s"
  end

  def untouched?
    @socket.wait_readable(0).nil?
  end

  # Stops listening, which resets the connections in the backlog.
  def stop
    untrack
    @socket.close
  end
end
