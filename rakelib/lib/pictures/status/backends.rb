# frozen_string_literal: true

require "socket"

module Pictures
  # The backends that edge.rb routes to. Nothing listens on 127.0.1.60, so connections to it are refused.
  class Backends
    Kind = Struct.new(:host, :port, :delay, :bytes, :kept, keyword_init: true)

    KINDS = [
      Kind.new(host: "127.0.1.10", port: 8080, delay: 0.003, bytes: 500..9000),
      Kind.new(host: "127.0.1.20", port: 8080, delay: 0.015, bytes: 100..2000),
      Kind.new(host: "127.0.1.30", port: 8080, delay: 0.004, bytes: 300_000..3_000_000),
      Kind.new(host: "127.0.1.40", port: 5432, delay: 0.001, bytes: 50..4000, kept: true),
      Kind.new(host: "127.0.1.50", port: 6379, delay: 0.0002, bytes: 10..300, kept: true)
    ].freeze

    def initialize
      @servers = KINDS.map { |kind| TCPServer.new(kind.host, kind.port) }
      @threads = KINDS.zip(@servers).map { |kind, server| Thread.new { accept(kind, server) } }
    end

    def stop
      @threads.each(&:kill).each(&:join)
      @servers.each(&:close)
    end

    private

    def accept(kind, server)
      loop do
        Thread.new(server.accept) do |socket|
          answer(kind, socket)
        rescue SystemCallError, IOError
          nil # The client has left.
        ensure
          socket.close
        end
      end
    end

    # A line is a request. One in three hundred gets no answer.
    def answer(kind, socket)
      while socket.gets
        break if !kind.kept && rand < 0.003

        sleep kind.delay * (0.5 + rand + (rand**8 * 5))
        socket.write("#{"x" * rand(kind.bytes)}\n")
        break unless kind.kept
      end
    end
  end
end
