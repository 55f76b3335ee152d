# frozen_string_literal: true

# One connection to the proxy. Every read has a deadline, so that a lost client fails one example instead of hanging the
# suite.
class Client
  include ResourceTracking

  attr_reader :socket

  # deadline:: seconds that a read may wait
  def initialize(port, host: "127.0.0.1", local_host: nil, deadline: Eventually::DEADLINE)
    @deadline = deadline
    @socket = Socket.tcp(host, port, local_host, connect_timeout: Eventually::DEADLINE)
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    track
  end

  # The client's address as the log prints it.
  def address
    @socket.local_address.ip_unpack.join(":")
  end

  def write(data)
    @socket.write(data)
    self
  end

  # Shuts down the write side: sends a FIN.
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

  # Reads until the proxy closes the connection.
  def read_all
    data = +"".b
    loop { data << chunk(65_536) }
  rescue EOFError
    data
  end

  # Whether the proxy closed or reset the connection without sending a byte.
  def ended?
    read_all.empty?
  rescue Errno::ECONNRESET
    true
  end

  # Discards data until the other side ends the connection. Returns :FIN or :RST.
  def received_end
    read_all
    :FIN
  rescue Errno::ECONNRESET, Errno::EPIPE
    :RST
  end

  # Whether the connection is open and has no data to read at this moment.
  def quiet?
    @socket.read_nonblock(1, exception: false) == :wait_readable
  end

  def stop
    untrack
    @socket.close
  end
  alias close stop

  # Closes with an RST instead of a FIN.
  def reset
    @socket.setsockopt(Socket::Option.linger(true, 0))
    stop
  end

  private

  def chunk(size)
    deadline = @deadline || Eventually::DEADLINE
    @socket.wait_readable(deadline) or raise "no data within #{deadline} s"
    @socket.readpartial(size)
  end
end
