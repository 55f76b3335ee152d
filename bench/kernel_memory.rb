# frozen_string_literal: true

# The kernel's memory for the two sockets that a proxied connection has here: `ruby bench/kernel_memory.rb [N]` as root,
# after `rake compile`. Each state is measured with N connections from client to backend, without and with the proxy
# between them; the difference is the proxy's share. /proc/slabinfo counts the objects, /proc/net/sockstat the pages of
# the buffers. Other programs should be quiet.

require "socket"
require "tempfile"
require_relative "lib/kernel_memory"

COUNT = Integer(ARGV.fetch(0, 3000))
ROUNDS = 3
EXECUTABLE = File.expand_path("../exe/proxymachine", __dir__)
CACHES = Bench::KernelMemory::CACHES

# Accepts connections and sends each CHUNK bytes; reads nothing after the first byte.
class Backend
  attr_reader :port

  def initialize(bytes)
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(4096)
    @port = server.local_address.ip_port
    @pid = fork { serve(server, bytes) }
    server.close
  end

  def stop
    Process.kill("KILL", @pid)
    Process.wait(@pid)
  end

  private

  def serve(server, bytes)
    open = []
    loop do
      socket = server.accept
      open << socket
      socket.readpartial(1)
      left = bytes
      while left.positive?
        sent = socket.write_nonblock("x" * [left, 1 << 16].min, exception: false)
        break if sent == :wait_writable && !socket.wait_writable(0.2)

        left -= sent if sent.is_a?(Integer)
      end
    end
  end
end

# Bytes of the objects in use, by cache, and of the buffers.
def usage
  slabs = Bench::KernelMemory.slabs.slice(*CACHES)
  [slabs.transform_values { |row| row[1] * row[3] }, Bench::KernelMemory.buffers]
end

# Opens the connections, and yields when all are in the state.
def connections(port, count)
  Array.new(count) do
    TCPSocket.new("127.0.0.1", port).tap do |socket|
      socket.write("x")
      socket.readpartial(1)
    end
  end
end

# Bytes of objects and of buffers per connection.
def measure(port, count)
  before = usage
  open = connections(port, count)
  sleep 1
  after = usage
  objects = CACHES.to_h { |name| [name, (after[0].fetch(name, 0) - before[0].fetch(name, 0)) / count.to_f] }
  [objects, (after[1] - before[1]) / count.to_f]
ensure
  open.each(&:close)
  sleep 1
end

def with_proxy(backend)
  Tempfile.create(["kernel", ".rb"]) do |config|
    config.write("LOGGER.level = Logger::ERROR\nproxy { { :remote => '127.0.0.1:#{backend}' } }\n")
    config.flush
    port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
    pid = spawn("ruby", EXECUTABLE, "-c", config.path, "-h", "127.0.0.1", "-p", port.to_s)
    begin
      sleep 2
      yield port
    ensure
      Process.kill("KILL", pid)
      Process.wait(pid)
    end
  end
end

def share(bytes, count)
  backend = Backend.new(bytes)
  direct = measure(backend.port, count)
  proxied = with_proxy(backend.port) { |port| measure(port, count) }
  objects = CACHES.to_h { |name| [name, proxied[0][name] - direct[0][name]] }
  [objects, proxied[1] - direct[1]]
ensure
  backend.stop
end

def median(values) = values.sort[values.size / 2]

{ "idle" => [1, COUNT], "client that does not read, backend that sends without end" => [64 << 20, COUNT / 60] }
  .each do |state, (bytes, count)|
  rounds = Array.new(ROUNDS) { share(bytes, count) }
  objects = CACHES.to_h { |name| [name, median(rounds.map { |round| round[0][name] }).round] }
  puts "#{state}, #{count} connections: #{objects.values.sum} B of objects, " \
       "#{median(rounds.map(&:last)).round} B of buffers (#{objects.reject { |_, size| size.zero? }})"
end
