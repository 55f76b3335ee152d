# frozen_string_literal: true

# A real `git daemon` that serves the repositories below a directory, and takes pushes. It cannot choose its port
# itself, so it is given a free one, and another if somebody else was faster.
class GitDaemon < Child
  attr_reader :port

  def self.start(base)
    5.times do
      daemon = new(base, free_port)
      return daemon if daemon.ready?

      daemon.stop
    end
    raise "git daemon does not start"
  end

  def self.free_port
    TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
  end

  def initialize(base, port)
    @port = port
    super(Git::ENVIRONMENT, "git", "daemon", "--listen=127.0.0.1", "--port=#{port}", "--base-path=#{base}",
          "--export-all", "--enable=receive-pack", "--reuseaddr", base)
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
    TCPSocket.open("127.0.0.1", port) { true }
  rescue Errno::ECONNREFUSED
    false
  end
end
