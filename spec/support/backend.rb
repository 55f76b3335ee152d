# frozen_string_literal: true

# A small server on a free loopback port. It runs the given block in a thread for each connection. Backends has the
# usual kinds.
class Backend
  include ResourceTracking

  attr_reader :host, :port

  def initialize(host: "127.0.0.1", port: 0, listening: true, &serve)
    @serve = serve || :drain.to_proc
    @host = host
    @sessions = []
    @threads = []
    @example_start = 0
    @socket = Socket.new(Addrinfo.tcp(host, port).afamily, :STREAM)
    @socket.bind(Addrinfo.tcp(host, port))
    @port = @socket.local_address.ip_port
    track
    listen if listening
  end

  # Starts to listen. Until then the port is bound, so that it refuses connections and no other process can take it.
  def listen
    @socket.listen(128)
    @acceptor = Thread.new { accept_all }
    self
  end

  def address
    "#{host}:#{port}"
  end

  # From here on, `sessions` and `received` tell of this example only.
  def begin_example
    @example_start = @sessions.size
  end

  # The connections accepted since the example began.
  def sessions
    @sessions[@example_start..]
  end

  # The bytes that each of these connections received.
  def received
    sessions.map(&:received)
  end

  # Waits for connection number `index` of the example.
  def session(index = 0)
    Eventually.eventually { sessions[index] }
  end

  def stop
    untrack
    @acceptor&.kill&.join
    @threads.each(&:kill).each(&:join)
    @socket.close
  end

  private

  def accept_all
    loop do
      socket, = @socket.accept
      socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      session = BackendSession.new(socket)
      @sessions << session
      @threads << Thread.new { session.serve(&@serve) }
    end
  end
end
