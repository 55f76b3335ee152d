# frozen_string_literal: true

require "open3"

# A real HAProxy. Its configuration has `bind fd@NAME` for each listener. The sockets listen before HAProxy starts, so
# that no spec has to wait for it.
class Haproxy < Child
  DEFAULTS = <<~TEXT
    defaults
      timeout connect 10s
      timeout client 60s
      timeout server 60s
  TEXT

  attr_reader :ports

  # Creates one file with a key and a certificate for `name`, the form that HAProxy reads.
  def self.certificate(name, dir)
    files = %w[key.pem certificate.pem].map { |file| File.join(dir, file) }
    command = %w[openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2]
    output, status = Open3.capture2e(*command, "-subj", "/CN=#{name}", "-keyout", files.first, "-out", files.last)
    raise "no certificate: #{output}" unless status.success?

    File.join(dir, "both.pem").tap { |path| File.write(path, files.map { |file| File.read(file) }.join) }
  end

  def initialize(configuration, dir: Dir.mktmpdir("proxymachine-haproxy"))
    sockets = configuration.scan(/fd@(\w+)/).flatten.uniq.to_h { |name| [name, TCPServer.new("127.0.0.1", 0)] }
    @ports = sockets.transform_values { |socket| socket.local_address.ip_port }
    path = File.join(dir, "haproxy.cfg")
    File.write(path, DEFAULTS + configuration.gsub(/fd@(\w+)/) { "fd@#{sockets.fetch($1).fileno}" })
    inherited = sockets.values.to_h { |socket| [socket.fileno, socket] }
    super("haproxy", "-db", "-f", path, dir: dir, **inherited)
    sockets.each_value(&:close)
  end

  def port(name)
    ports.fetch(name.to_s)
  end

  def address(name)
    "127.0.0.1:#{port(name)}"
  end
end
