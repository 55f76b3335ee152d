# frozen_string_literal: true

require "socket"

# The backends behind the proxy, one of each kind.
class FuzzBackends
  RESET_ON_CLOSE = Socket::Option.linger(true, 0)

  KINDS = {
    echo: ->(socket) { IO.copy_stream(socket, socket) },
    silent: ->(socket) { IO.copy_stream(socket, File::NULL) },
    closing: :close.to_proc,
    resetting: ->(socket) { socket.setsockopt(RESET_ON_CLOSE) }
  }.freeze

  # The share of routes to each kind. Refused connections are rare, because their retries take a second.
  WEIGHTS = { echo: 12, silent: 4, closing: 2, resetting: 2, refused: 1 }.freeze

  def initialize
    @ports = KINDS.transform_values { |serve| listen(serve) }
    @refused = Socket.new(:INET, :STREAM) # bound, but not listening
    @refused.bind(Addrinfo.tcp("127.0.0.1", 0))
    @ports[:refused] = @refused.local_address.ip_port
  end

  # The environment for the config.
  def environment
    ports = WEIGHTS.flat_map { |kind, weight| [@ports.fetch(kind)] * weight }
    { "FUZZ_PORTS" => ports.join(" "), "FUZZ_ECHO" => "127.0.0.1:#{@ports.fetch(:echo)}" }
  end

  private

  def listen(serve)
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(1024)
    Thread.new { loop { Thread.new(server.accept) { |socket| handle(socket, serve) } } }
    server.addr[1]
  end

  def handle(socket, serve)
    serve.call(socket)
  rescue SystemCallError, IOError
    nil # the proxy may close the connection at any time
  ensure
    socket.close
  end
end
