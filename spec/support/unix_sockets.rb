# frozen_string_literal: true

# A client of a Unix socket: a path, or "@name" for an abstract socket.
class UnixClient < Client
  def initialize(path) # rubocop:disable Lint/MissingSuper -- there is no port
    @socket = Socket.unix(path.sub(/\A@/, "\0"))
    track
  end
end

# A server on a Unix socket. It replies to the first chunk with its name and the chunk, and closes.
class UnixBackend
  include ResourceTracking

  def initialize(name, path)
    @name = name
    @server = Socket.unix_server_socket(path.sub(/\A@/, "\0"))
    @thread = Thread.new { loop { answer } }
    track
  end

  def stop
    untrack
    @thread.kill.join
    @server.close
  end

  private

  def answer
    socket, = @server.accept
    socket.write("#{@name}:#{socket.readpartial(65_536)}")
  rescue SystemCallError, EOFError
    nil # the proxy closed the connection first
  ensure
    socket&.close
  end
end
