# frozen_string_literal: true

# A port whose connection attempts neither succeed nor fail, because its backlog is full and no thread accepts.
class BlackHole
  include ResourceTracking

  attr_reader :port

  def initialize(host = "127.0.0.1", port = 0)
    @server = Socket.new(Addrinfo.tcp(host, port).afamily, :STREAM)
    @server.bind(Addrinfo.tcp(host, port))
    @server.listen(0)
    @port = @server.local_address.ip_port
    @fillers = []
    track
    loop { break unless fill }
  end

  def address
    "127.0.0.1:#{port}"
  end

  # Accepts from now on, and closes the connections that filled the backlog. A pending attempt succeeds within seconds,
  # at its next SYN.
  def start_accepting(&serve)
    fillers = @fillers.map { |filler| filler.local_address.ip_port }
    @server.listen(128)
    @acceptor = Thread.new do
      loop do
        socket, peer = @server.accept
        fillers.include?(peer.ip_port) ? socket.close : Thread.new { BackendSession.new(socket).serve(&serve) }
      end
    end
  end

  def stop
    untrack
    @acceptor&.kill&.join
    [@server, *@fillers].each(&:close)
  end

  private

  # Adds a connection to the backlog. Returns whether there was room.
  def fill
    @fillers << Socket.new(@server.local_address.afamily, :STREAM)
    @fillers.last.connect_nonblock(@server.local_address, exception: false)
    @fillers.last.wait_writable(0.2)
  end
end
