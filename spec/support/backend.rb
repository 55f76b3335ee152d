# frozen_string_literal: true

# A small server on a free port of the loopback, which runs the given block for each connection in a thread of its own.
# Backends names the usual kinds.
class Backend
  include Owned

  attr_reader :host, :port

  def initialize(host: "127.0.0.1", port: 0, listening: true, &serve)
    @serve = serve || :drain.to_proc
    @host = host
    @sessions = []
    @threads = []
    @mark = 0
    @socket = Socket.new(Addrinfo.tcp(host, port).afamily, :STREAM)
    @socket.bind(Addrinfo.tcp(host, port))
    @port = @socket.local_address.ip_port
    own
    listen if listening
  end

  # Bound but not listening, a port refuses connections and yet is nobody else's. This opens it.
  def listen
    @socket.listen(128)
    @acceptor = Thread.new { accept_all }
    self
  end

  def address
    "#{host}:#{port}"
  end

  def mark
    @mark = @sessions.size
  end

  # The connections that came since the running example began.
  def sessions
    @sessions[@mark..]
  end

  # What each of them sent.
  def received
    sessions.map(&:received)
  end

  # Number `index` of them, as soon as it is there.
  def session(index = 0)
    Eventually.eventually { sessions[index] }
  end

  def stop
    disown
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
