# frozen_string_literal: true

# The session of bin/demo.

require "open3"
require "socket"

# A backend: a web server whose only page names the backend.
class SampleBackend
  attr_reader :name, :port

  def initialize(name)
    @name = name
    @listener = TCPServer.new("127.0.0.1", 0)
    @port = @listener.addr[1]
  end

  def greeting
    "Hello from the server for #{name}, on port #{port}.\n"
  end

  def start
    Thread.new { loop { Thread.new(@listener.accept) { |client| serve(client) } } }
    self
  end

  private

  def serve(client)
    until [nil, "\r\n"].include?(client.gets); end
    client.write("HTTP/1.1 200 OK\r\nContent-Length: #{greeting.bytesize}\r\nConnection: close\r\n\r\n#{greeting}")
  rescue SystemCallError
    nil # The client has closed the connection.
  ensure
    client.close
  end
end

# The proxy, on a port that the system chooses. PROXYMACHINE_BIN names another executable, such as that of an installed
# gem.
class Proxy
  ROOT = File.expand_path("..", __dir__)
  EXECUTABLE = ENV.key?("PROXYMACHINE_BIN") ? [ENV["PROXYMACHINE_BIN"]] : [RbConfig.ruby, "#{ROOT}/exe/proxymachine"]
  COMMAND = [*EXECUTABLE, "-c", "#{ROOT}/examples/demo.rb", "-h", "127.0.0.1", "-p", "0"].freeze

  attr_reader :port, :log

  def initialize(routes)
    @log, log = IO.pipe
    # In its own process group: Ctrl-C must reach this script only, which then ends the proxy.
    @pid = Process.spawn({ "DEMO_ROUTES" => routes }, *COMMAND, in: File::NULL, %i[out err] => log, pgroup: true)
    log.close
    await_port
  end

  # Ends the proxy. Returns whether it exited with status 0.
  def stop
    Process.kill(:TERM, @pid)
    Process.wait2(@pid).last.success?
  end

  private

  def await_port
    start_of_log = []
    until @port
      start_of_log << @log.gets
      abort "bin/demo: the proxy did not start:\n#{start_of_log.join}" unless start_of_log.last
      @port = start_of_log.last[/Listening on \S+:(\d+)$/, 1]
    end
  end
end

# Sends the requests of a session, and checks the answers: path => answer.
def play(proxy, session)
  wrong = session.reject do |path, expected|
    command = ["curl", "--silent", "--show-error", "--max-time", "10", "http://127.0.0.1:#{proxy.port}#{path}"]
    puts "$ curl #{command.last}"
    answer, _status = Open3.capture2e({ "no_proxy" => "*" }, *command)
    puts answer
    answer == expected
  end
  is_clean = proxy.stop
  wrong.each { |path, expected| warn "bin/demo: #{path} should have been answered: #{expected}" }
  abort "bin/demo: failed. The proxy's log:\n#{proxy.log.read}" unless wrong.empty? && is_clean
  puts "", "Each request reached the backend that its path names."
end

# Shows the proxy's log until Ctrl-C.
def watch(proxy)
  trap(:TERM) { raise Interrupt }
  while (line = proxy.log.gets)
    puts "  #{line}"
  end
  abort "bin/demo: the proxy ended unexpectedly."
rescue Interrupt
  abort "bin/demo: the proxy exited with an error." unless proxy.stop
  puts "", "The demo has ended."
end

$stdout.sync = true
backends = %w[cats dogs].map { |name| SampleBackend.new(name).start }
proxy = Proxy.new(backends.map { |backend| "#{backend.name}=127.0.0.1:#{backend.port}" }.join(","))
session = backends.to_h { |backend| ["/#{backend.name}", backend.greeting] }
                  .merge("/fish" => "There is no server for /fish.\n")

puts "", "ProxyMachine listens on 127.0.0.1:#{proxy.port} with examples/demo.rb, which sends"
backends.each { |backend| puts "  /#{backend.name} to the backend on 127.0.0.1:#{backend.port}" }
puts "and answers all other requests by itself.", ""

if ARGV.include?("--once")
  play(proxy, session)
else
  puts "In another terminal, type"
  session.each_key { |path| puts "  curl http://127.0.0.1:#{proxy.port}#{path}" }
  puts "", "The proxy's log follows; Ctrl-C ends the demo."
  watch(proxy)
end
