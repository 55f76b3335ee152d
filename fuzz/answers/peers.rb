# frozen_string_literal: true

require "socket"

# The servers behind the proxy, one of each kind. They keep nothing of what they hear.
class Peers
  LINGER_NOT = Socket::Option.linger(true, 0)

  KINDS = {
    echo: ->(socket) { IO.copy_stream(socket, socket) },
    silent: ->(socket) { IO.copy_stream(socket, File::NULL) },
    closing: :close.to_proc,
    resetting: ->(socket) { socket.setsockopt(LINGER_NOT) }
  }.freeze

  # How many of the routes lead to each kind. Refused connections are tried again and again, which takes a second.
  WEIGHTS = { echo: 12, silent: 4, closing: 2, resetting: 2, refused: 1 }.freeze

  def initialize
    @ports = KINDS.transform_values { |serve| listen(serve) }
    @refused = Socket.new(:INET, :STREAM) # Bound, but it does not listen.
    @refused.bind(Addrinfo.tcp("127.0.0.1", 0))
    @ports[:refused] = @refused.local_address.ip_port
  end

  # What the config needs to know.
  def environment
    ports = WEIGHTS.flat_map { |kind, weight| [@ports.fetch(kind)] * weight }
    { "FUZZ_PORTS" => ports.join(" "), "FUZZ_ECHO" => "127.0.0.1:#{@ports.fetch(:echo)}" }
  end

  private

  def listen(serve)
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(1024)
    Thread.new { loop { Thread.new(server.accept) { |socket| attend(socket, serve) } } }
    server.addr[1]
  end

  def attend(socket, serve)
    serve.call(socket)
  rescue SystemCallError, IOError
    nil # The proxy may leave whenever it likes.
  ensure
    socket.close
  end
end
