# frozen_string_literal: true

# One connection to the proxy. Every read has a deadline, so that a proxy that forgets a client fails one example and
# does not hang the suite.
class Client
  include Owned

  attr_reader :socket

  def initialize(port, host: "127.0.0.1", local_host: nil)
    @socket = Socket.tcp(host, port, local_host, connect_timeout: Eventually::DEADLINE)
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    own
  end

  def mark; end

  # As the log names this client.
  def address
    @socket.local_address.ip_unpack.join(":")
  end

  def write(data)
    @socket.write(data)
    self
  end

  # Ends this side only: "I have said everything".
  def finish
    @socket.shutdown(Socket::SHUT_WR)
    self
  end

  def read(size)
    data = +"".b
    data << chunk(size - data.bytesize) while data.bytesize < size
    data
  rescue EOFError
    data
  end

  # Everything until the proxy ends the connection.
  def read_all
    data = +"".b
    loop { data << chunk(65_536) }
  rescue EOFError
    data
  end

  # The proxy ended the connection, in whatever manner.
  def ended?
    read_all.empty?
  rescue Errno::ECONNRESET
    true
  end

  # Nothing has come, and the connection is open, at this moment.
  def quiet?
    @socket.read_nonblock(1, exception: false) == :wait_readable
  end

  def stop
    disown
    @socket.close
  end
  alias close stop

  # Leaves without a farewell: the other side gets an RST.
  def reset
    @socket.setsockopt(Socket::Option.linger(true, 0))
    stop
  end

  private

  def chunk(size)
    @socket.wait_readable(Eventually::DEADLINE) or raise "nothing came within #{Eventually::DEADLINE} s"
    @socket.readpartial(size)
  end
end
