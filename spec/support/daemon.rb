# frozen_string_literal: true

# A real server that cannot choose free ports itself. `start` passes it free ports, and tries again with others if
# another process took one meanwhile. A subclass takes the ports as the first arguments of `new`.
class Daemon < Child
  attr_reader :ports

  def self.start(*arguments, ports: 1, **options)
    5.times do
      daemon = new(*free_ports(ports), *arguments, **options)
      return daemon if daemon.ready?

      @last_report = daemon.report
      daemon.stop
    end
    raise "#{name} does not start: #{@last_report}"
  end

  # Ports that are free, and likely to stay so until they are used: they are below those that the system gives to
  # connections and to servers without a port of their own (ip_local_port_range, ip(7)). All are held at once, so that
  # they differ.
  def self.free_ports(count)
    servers = Array.new(count) { listen_anywhere }
    servers.map { |server| server.local_address.ip_port }
  ensure
    servers&.each(&:close)
  end

  def self.listen_anywhere
    TCPServer.new("127.0.0.1", Random.new.rand(16_000..32_000))
  rescue Errno::EADDRINUSE
    retry
  end
  private_class_method :listen_anywhere

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

  # Waits until the server listens or has ended. Returns whether it runs.
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
