# frozen_string_literal: true

require "socket"

module Pictures
  # Clients of edge.rb with different habits, so that each table of the admin page has rows.
  class Clients
    HOST = "127.0.2.1"
    WEB = 8080
    DATABASE = 8432
    CACHE = 8379
    PATHS = ((%w[web] * 120) + (%w[api] * 72) + %w[admin unknown old old]).freeze

    def initialize
      habits = { visit: 8, download: 2, query: 60, cache: 24, stay_silent: 2, leave: 1 }
      @threads = habits.flat_map { |habit, count| Array.new(count) { |number| start(habit, number) } }
    end

    def stop
      @threads.each(&:kill).each(&:join)
    end

    private

    def start(habit, number)
      Thread.new do
        sleep number * 0.1
        loop do
          send(habit)
        rescue SystemCallError, IOError
          nil # The proxy or a backend has closed the connection.
        end
      end
    end

    # Traffic rises and falls, so that the curves are not flat.
    def pause(seconds)
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      sleep seconds * rand * 2 / (0.6 + (0.3 * Math.sin(now / 5)) + (0.08 * Math.sin(now * 1.3)))
    end

    def ask(text)
      Socket.tcp(HOST, WEB) do |socket|
        socket.write(text)
        socket.read
      end
    end

    def visit
      ask("GET /#{PATHS.sample} HTTP/1.0\r\n\r\n")
      pause 0.04
    end

    def download
      ask("GET /media HTTP/1.0\r\n\r\n")
      pause 0.3
    end

    def query
      talk(DATABASE, "select 1\n", rand(20..100), 0.4)
    end

    def cache
      talk(CACHE, "GET key\n", rand(50..300), 0.1)
    end

    def talk(port, request, count, seconds)
      Socket.tcp(HOST, port) do |socket|
        count.times do
          socket.write(request)
          socket.gets
          pause seconds
        end
      end
    end

    # Sends nothing until decision_timeout is over.
    def stay_silent
      Socket.tcp(HOST, WEB, &:read)
    end

    # Resets the connection before the answer.
    def leave
      Socket.tcp(HOST, WEB) do |socket|
        socket.write("GET /api HTTP/1.0\r\n\r\n")
        sleep 0.004
        socket.setsockopt(Socket::Option.linger(true, 0))
      end
      pause 0.5
    end
  end
end
