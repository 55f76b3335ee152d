# frozen_string_literal: true

# A real server that cannot choose its ports itself: it is given free ones, and others if somebody else was faster. A
# subclass takes them as the first arguments of `new`.
class Daemon < Child
  attr_reader :ports

  def self.start(*arguments, ports: 1, **options)
    5.times do
      daemon = new(*free_ports(ports), *arguments, **options)
      return daemon if daemon.ready?

      @last_words = daemon.report
      daemon.stop
    end
    raise "#{name} does not start: #{@last_words}"
  end

  # Held all at once, so that they differ.
  def self.free_ports(count)
    servers = Array.new(count) { TCPServer.new("127.0.0.1", 0) }
    servers.map { |server| server.local_address.ip_port }
  ensure
    servers&.each(&:close)
  end

  def initialize(ports, *command, **options)
    @ports = ports
    super(*command, **options)
  end

  def port
    ports.first
  end

  def address
    "127.0.0.1:#{port}"
  end

  # Whether it listens; false once it has ended instead.
  def ready?
    Eventually.eventually { !running? || listening? }
    running?
  end

  private

  def listening?
    ports.all? { |port| TCPSocket.open("127.0.0.1", port) { true } }
  rescue Errno::ECONNREFUSED
    false
  end
end
