# frozen_string_literal: true

# A port whose connections neither succeed nor fail, because its backlog is full and nobody accepts.
class BlackHole
  include Owned

  attr_reader :port

  def initialize
    @server = Socket.new(:INET, :STREAM)
    @server.bind(Addrinfo.tcp("127.0.0.1", 0))
    @server.listen(0)
    @port = @server.local_address.ip_port
    @fillers = []
    own
    loop { break unless fill }
  end

  def address
    "127.0.0.1:#{port}"
  end

  def mark; end

  def stop
    disown
    [@server, *@fillers].each(&:close)
  end

  private

  # Whether one more connection still found room.
  def fill
    @fillers << Socket.new(:INET, :STREAM)
    @fillers.last.connect_nonblock(@server.local_address, exception: false)
    @fillers.last.wait_writable(0.2)
  end
end
