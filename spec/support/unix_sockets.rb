# frozen_string_literal: true

# A client of a Unix socket, by its path or by "@name".
class UnixClient < Client
  def initialize(path) # rubocop:disable Lint/MissingSuper -- there is no port
    @socket = Socket.unix(path.sub(/\A@/, "\0"))
    own
  end
end

# A server on a Unix socket, which answers the first thing that it hears with its name and that, and closes.
class UnixBackend
  include Owned

  def initialize(name, path)
    @name = name
    @server = Socket.unix_server_socket(path.sub(/\A@/, "\0"))
    @thread = Thread.new { loop { answer } }
    own
  end

  def mark; end

  def stop
    disown
    @thread.kill.join
    @server.close
  end

  private

  def answer
    socket, = @server.accept
    socket.write("#{@name}:#{socket.readpartial(65_536)}")
  rescue SystemCallError, EOFError
    nil # The proxy thought better of it.
  ensure
    socket&.close
  end
end
