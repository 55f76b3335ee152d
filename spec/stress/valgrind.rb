# frozen_string_literal: true

# A server under a little of every load in Valgrind's Memcheck. Ruby's garbage collector reads what it pleases, so that
# only errors count that happen in the extension or in what it calls, Ruby excepted. Prints them, and fails if there
# are any.
require "rbconfig"
require "socket"
require "tmpdir"
require "timeout"

root = File.expand_path("../..", __dir__)
config = <<~'RUBY'
  proxy { |data| eval(data) }
RUBY

# What a client says for each kind of answer, and what it then hears.
def requests(echo)
  [["{ :close => 'bye' }", "bye"], ["{ :close => true }", ""], ["raise 'a mistake'", ""], ["42", ""],
   ["{ :remote => '127.0.0.1:#{echo}', :data => 'd', :reply => 'r' }", "rd"],
   ["{ :remote => '127.0.0.1:#{echo}', :data => 'x' * 3_000_000 }", "x" * 3_000_000]]
end

def talk(port, says, hears)
  TCPSocket.open("127.0.0.1", port) do |socket|
    socket.write(says)
    socket.close_write if hears.end_with?("d", "x")
    heard = socket.read
    abort "#{says}: #{heard.size} bytes instead of #{hears.size}" unless heard == hears
  end
end

def backend
  server = TCPServer.new("127.0.0.1", 0)
  Thread.new { loop { Thread.new(server.accept) { |socket| IO.copy_stream(socket, socket) && socket.close } } }
  server.addr[1]
end

def await_port(output)
  Timeout.timeout(120) { output.each_line { |line| return $1.to_i if line =~ /Listening on \S+:(\d+)$/ } }
end

# The reports whose stack reaches the extension before it reaches Ruby.
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
    5.times { requests(echo).each { |says, hears| talk(port, says, hears) } }
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
