# frozen_string_literal: true

# What a router test costs, in CPU time: `ruby bench/router_tests.rb`, after `rake compile`.
# Loading is measured in new processes: with `require "proxymachine/testing"`, and without. Each figure is the best of
# ROUNDS, which other load of the machine affects least.

require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../lib/proxymachine/testing"

ROOT = File.expand_path("..", __dir__)
ROUNDS = 5
DECISIONS = 20_000
CUT_BYTES = 65_536
LINE_ROUTER = <<~'RUBY'
  proxy do |data|
    line = data[/\A[^\n]*\n/]
    next :noop unless line
    line.start_with?("GET /api") ? "10.0.0.2:80" : "10.0.0.1:80"
  end
RUBY
# The regular expression searches all that has come, each time.
HEAD_ROUTER = 'proxy { |data| data =~ /\r\n\r\n/ ? "10.0.0.1:80" : :noop }'
REQUEST = "GET /api/cats HTTP/1.1\r\nHost: blue.test\r\n\r\n"
LOADING = <<~'RUBY'
  times = [Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)]
  require "proxymachine/testing"
  times << Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  ProxyMachine::Testing.load(ARGV.fetch(0))
  times << Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  ProxyMachine::Testing.load(ARGV.fetch(0))
  times << Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  puts times.each_cons(2).map { |before, after| after - before }
RUBY

def best(rounds = ROUNDS)
  Array.new(rounds) do
    start = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    yield
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - start
  end.min
end

# Returns the seconds for `require`, for the first load and for the second.
def loading(path)
  runs = Array.new(ROUNDS) do
    output, status = Open3.capture2(RbConfig.ruby, "-I", "#{ROOT}/lib", "-e", LOADING, path)
    abort "cannot load #{path}" unless status.success?
    output.lines.map(&:to_f)
  end
  runs.transpose.map(&:min)
end

# Returns a head of a request with this size.
def head(size)
  start = "GET / HTTP/1.1\r\nHost: blue.test\r\nX: "
  "#{start}#{"x" * (size - start.size - 4)}\r\n\r\n"
end

Dir.mktmpdir do |dir|
  routers = { "first line" => LINE_ROUTER, "whole head" => HEAD_ROUTER }.to_h do |name, text|
    [name, File.join(dir, "#{name.tr(" ", "_")}.rb").tap { |path| File.write(path, text) }]
  end
  routers["examples/http_host.rb"] = "#{ROOT}/examples/http_host.rb"
  routers["examples/http.rb"] = "#{ROOT}/examples/http.rb"

  puts RUBY_DESCRIPTION, "| router | require, ms | load, ms | again, ms | decision, us | 64 KiB at every byte, s |",
       "|---|---|---|---|---|---|"
  routers.each do |name, path|
    router = ProxyMachine::Testing.load(path)
    milliseconds = loading(path).map { |seconds| format("%.1f", seconds * 1000) }
    decision = best { DECISIONS.times { router.decide(REQUEST) } } / DECISIONS * 1e6
    cut = best(1) { router.cuts(head(CUT_BYTES)) }
    puts "| #{name} | #{milliseconds.join(" | ")} | #{format("%.1f", decision)} | #{format("%.1f", cut)} |"
  end
end
