# frozen_string_literal: true

# The decisions per second of a pool of N threads when each decision waits 10 ms for a lookup: `ruby bench/threads.rb
# [N]`, after `rake compile`. Each decision is a connection, and there are always twice as many connections as threads.

require "socket"
require "tempfile"

THREADS = Integer(ARGV.fetch(0, 64))
LOOKUP = 0.01
SECONDS = 3
ROUNDS = 5
GOAL = 2500
EXECUTABLE = File.expand_path("../exe/proxymachine", __dir__)
CONFIG = <<~RUBY.freeze
  LOGGER.level = Logger::ERROR
  proxy do |data|
    sleep #{LOOKUP}
    { :close => data }
  end
RUBY

# Connections that send one request each and are replaced after the reply.
class Clients
  def initialize(port, count)
    @address = Socket.sockaddr_in(port, "127.0.0.1")
    @open = Array.new(count) { call }
  end

  # Runs for some seconds and counts the answers.
  def answers(seconds)
    limit = now + seconds
    count = 0
    while now < limit
      ready, = IO.select(@open, nil, nil, 1)
      count += ready.to_a.count { |socket| answered?(socket) }
    end
    count
  end

  private

  def call
    Socket.new(:INET, :STREAM).tap do |socket|
      socket.connect(@address)
      socket.write("x")
    end
  end

  def answered?(socket)
    answer = socket.read(1)
    socket.close
    @open[@open.index(socket)] = call
    raise "no answer" unless answer == "x"

    true
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

def with_proxy
  Tempfile.create(["threads", ".rb"]) do |config|
    config.write(CONFIG)
    config.flush
    port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
    pid = spawn("ruby", "-I", File.expand_path("../lib", __dir__), EXECUTABLE, "-c", config.path,
                "-h", "127.0.0.1", "-p", port.to_s, "--threads", THREADS.to_s)
    begin
      await(port)
      yield port
    ensure
      Process.kill("TERM", pid)
      Process.wait(pid)
    end
  end
end

def await(port)
  100.times do
    return TCPSocket.open("127.0.0.1", port).close
  rescue Errno::ECONNREFUSED
    sleep 0.1
  end
  raise "it does not listen"
end

rates = with_proxy do |port|
  clients = Clients.new(port, 2 * THREADS)
  clients.answers(1) # warm-up
  Array.new(ROUNDS) { (clients.answers(SECONDS) / SECONDS.to_f).round }.sort
end
puts RUBY_DESCRIPTION
puts "#{THREADS} threads, #{(LOOKUP * 1000).round} ms each: #{rates[ROUNDS / 2]} decisions a second " \
     "(#{rates.first} to #{rates.last}); with 64 threads the goal is #{GOAL}"
