# frozen_string_literal: true

require "open3"
require_relative "daemon"

# A real redis-server without persistence, and the real redis-cli as its client.
class RedisServer < Daemon
  def initialize(port)
    super([port], "redis-server", "--bind", "127.0.0.1", "--port", port.to_s, "--save", "", "--appendonly", "no")
  end

  # Returns the output of redis-cli.
  def cli(*words)
    output, status = Open3.capture2e("redis-cli", "-p", port.to_s, *words)
    raise "redis-cli #{words.join(" ")}: #{output}" unless status.success?

    output.chomp
  end
end
