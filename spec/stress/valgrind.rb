# frozen_string_literal: true

# Runs a server under light load of every kind in Valgrind's Memcheck. Ruby's garbage collector reads uninitialized
# memory, so that only errors in the extension count, and in its callees other than Ruby. Prints these errors, and fails
# if there are any.
require "rbconfig"
require "socket"
require "tmpdir"
require "timeout"

root = File.expand_path("../..", __dir__)
config = <<~'RUBY'
  proxy { |data| eval(data) }
RUBY

# Returns a request and the expected reply for each kind of answer.
def conversations(echo)
  [["{ :close => 'bye' }", "bye"], ["{ :close => true }", ""], ["raise 'a mistake'", ""], ["42", ""],
   ["{ :remote => '127.0.0.1:#{echo}', :data => 'd', :reply => 'r' }", "rd"],
   ["{ :remote => '127.0.0.1:#{echo}', :data => 'x' * 3_000_000 }", "x" * 3_000_000]]
end

def converse(port, request, expected)
  TCPSocket.open("127.0.0.1", port) do |socket|
    socket.write(request)
    socket.close_write if expected.end_with?("d", "x")
    reply = socket.read
    abort "#{request}: #{reply.size} bytes instead of #{expected.size}" unless reply == expected
  end
end

def backend
  server = TCPServer.new("127.0.0.1", 0)
  Thread.new { loop { Thread.new(server.accept) { |socket| IO.copy_stream(socket, socket) && socket.close } } }
  server.addr[1]
end

def await_port(output)
  Timeout.timeout(120) { output.each_line.lazy.filter_map { |line| line[/Listening on \S+:(\d+)/, 1] }.first }&.to_i
end

# Returns the reports whose stack reaches the extension before Ruby.
def errors(text)
  text.gsub(/^==\d+== ?/, "").split("\n\n").select do |report|
    frames = report.lines.grep(/^\s+(at|by) /)
    frames.take_while { |frame| !frame.include?("libruby") }.grep(/proxymachine/).any?
  end
end

Dir.mktmpdir("proxymachine-valgrind") do |dir|
  File.write("#{dir}/config.rb", config)
  command = %w[valgrind --num-callers=40 --leak-check=no --error-limit=no]
  command += ["--log-file=#{dir}/report", RbConfig.ruby, "-I#{root}/lib", "#{root}/exe/proxymachine",
              "-c", "#{dir}/config.rb", "-h", "127.0.0.1", "-p", "0"]
  reader, writer = IO.pipe
  pid = Process.spawn(*command, out: writer, err: "#{dir}/stderr")
  writer.close
  begin
    port = await_port(reader) or abort "no server: #{File.read("#{dir}/stderr")}"
    echo = backend
    5.times { conversations(echo).each { |request, reply| converse(port, request, reply) } }
    Process.kill("QUIT", pid)
    status = Timeout.timeout(60) { Process.wait2(pid).last }
  rescue StandardError
    Process.kill("KILL", pid)
    raise
  end
  found = errors(report = File.read("#{dir}/report"))
  total = report[/ERROR SUMMARY: (\d+)/, 1]
  puts found, "Valgrind: #{found.size} of #{total} errors in the extension; the server ended with #{status.exitstatus}"
  exit(found.empty? && status.success?)
end
