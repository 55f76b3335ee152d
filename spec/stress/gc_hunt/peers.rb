# frozen_string_literal: true

require "socket"

# The backends of the hunt, one of each kind.
class Peers
  attr_reader :addresses

  def initialize
    refused = Socket.new(:INET, :STREAM) # It is bound and does not listen.
    refused.bind(Addrinfo.tcp("127.0.0.1", 0))
    @refused = refused
    ports = [serve { |socket| IO.copy_stream(socket, socket) }, serve(&:itself),
             serve { |socket| IO.copy_stream(socket, File::NULL) }, refused.local_address.ip_port]
    @addresses = ports.map { |port| "127.0.0.1:#{port}" }
  end

  private

  def serve
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(1024)
    Thread.new do
      loop do
        Thread.new(server.accept) do |socket|
          yield socket
        rescue SystemCallError
          nil # The proxy may leave at any time.
        ensure
          socket.close
        end
      end
    end
    server.addr[1]
  end
end
