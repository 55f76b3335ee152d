# frozen_string_literal: true

# What a flood of one source costs, and what it does to the others: `ruby bench/limits.rb [RATE] [SECONDS]`, after
# `rake compile`. Then the memory for many sources: `ruby bench/limits.rb --sources 1000000 [RATE]`.
#
# The flood comes from one address at RATE connections a second, all of which are over max_connections_per_source but
# the first few. Meanwhile another address opens a connection every 5 ms, which the block answers. The load generator
# sleeps between its connections and is not pinned.

require "json"
require "net/http"
require "socket"
require "tmpdir"

ROOT = File.expand_path("..", __dir__)
LOAD = File.join(__dir__, "load/target/release/load")
CONFIG = <<~'RUBY'
  LOGGER.level = Logger::WARN
  admin ENV.fetch("ADMIN")
  listen "127.0.0.1:#{ENV.fetch("DIRECT")}"
  listen "127.0.0.1:#{ENV.fetch("BALANCED")}", :proxy_protocol => ["127.0.0.0/8"]
  max_connections_per_source 10
  connection_rate_per_source 1000
  proxy { |data| { :close => data } }
RUBY

# A server with limits by source.
class LimitedProxy
  attr_reader :pid, :direct, :balanced

  def initialize(dir)
    @direct, @balanced, @admin = Array.new(3) { free_port }
    config = File.join(dir, "limits.rb").tap { |path| File.write(path, CONFIG) }
    environment = { "ADMIN" => @admin.to_s, "DIRECT" => @direct.to_s, "BALANCED" => @balanced.to_s }
    @pid = spawn(environment, RbConfig.ruby, "-I", "#{ROOT}/lib", "#{ROOT}/exe/proxymachine", "-c", config)
    await
  end

  def stop
    Process.kill("TERM", pid)
    Process.wait(pid)
  end

  def resident_mebibytes
    File.read("/proc/#{pid}/status")[/^VmRSS:\s+(\d+)/, 1].to_i / 1024.0
  end

  # The sum of a counter over its labels that match.
  def counter(name, labels = "")
    metrics = Net::HTTP.get(URI("http://127.0.0.1:#{@admin}/metrics"))
    metrics.scan(/^#{name}\{.*#{labels}.*\} (\d+)$/).flatten.sum(&:to_i)
  end

  # Runs the load generator and returns its report.
  def flood(port, **options)
    arguments = options.flat_map { |name, value| ["--#{name.to_s.tr("_", "-")}", value.to_s] }
    output = IO.popen([LOAD, "flood", "--target", port.to_s, "--pid", pid.to_s, *arguments], &:read)
    JSON.parse(output)
  end

  # Seconds of processor time, in user space and in the kernel.
  def cpu_seconds
    File.read("/proc/#{pid}/stat").split(") ").last.split.values_at(11, 12).map { |ticks| ticks.to_i / 100.0 }
  end

  private

  def free_port
    TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
  end

  def await
    100.times do
      return TCPSocket.open("127.0.0.1", direct).close
    rescue Errno::ECONNREFUSED
      sleep 0.1
    end
    raise "it does not listen"
  end
end

# One flood, and what it did.
class Flood
  def initialize(proxy, rate, seconds)
    @quiet = proxy.flood(proxy.direct, rate: 0, seconds: seconds)
    asked = proxy.counter("proxymachine_decisions_total")
    before = proxy.cpu_seconds
    @flooded = proxy.flood(proxy.direct, rate: rate, seconds: seconds)
    @cpu = proxy.cpu_seconds.zip(before).map { |now, then_| now - then_ }
    @asked = proxy.counter("proxymachine_decisions_total") - asked
    @closed = proxy.counter("proxymachine_connections_ended_total", 'code="RL"')
  end

  def report
    each = (@flooded["cpu_share"] - @quiet["cpu_share"]) * @flooded["seconds"] / @flooded["units"] * 1e6
    kernel = 100 * @cpu.last / @cpu.sum
    puts format("flood: %<rate>d connections a second, %<closed>d closed", rate: @flooded["rate"], closed: @closed)
    puts format("each: %<each>.1f us CPU; of all CPU, %<kernel>d %% in the kernel", each: each, kernel: kernel)
    puts "blocks: asked #{@asked} times, for the #{@flooded["samples"]} connections of the others"
    [["quiet", @quiet], ["flood", @flooded]].each { |name, report| puts others(name, report) }
    limit = (3 * @quiet["p99_us"]) + 1000
    puts format("goal: p99 at most %<limit>.0f us: %<met>s", limit: limit,
                                                             met: @flooded["p99_us"] <= limit ? "met" : "missed")
  end

  private

  def others(name, report)
    format("others, %<name>s: p50 %<p50_us>.0f us, p99 %<p99_us>.0f us, max %<max_us>.0f us, %<errors>d errors",
           name: name, **report.transform_keys(&:to_sym))
  end
end

def sources(proxy, count, rate)
  before = proxy.resident_mebibytes
  seen = 0
  while seen < count
    seen += proxy.flood(proxy.balanced, rate: rate, sources: count, seconds: 10)["units"].to_i
    puts format("%<seen>d connections of as many sources: %<memory>.1f MiB more than before",
                seen: seen, memory: proxy.resident_mebibytes - before)
  end
end

arguments = ARGV.dup
many = arguments.delete("--sources") && Integer(arguments.shift)
rate = Integer(arguments.fetch(0, 20_000))
Dir.mktmpdir do |dir|
  system("cargo", "build", "--quiet", "--release", "--manifest-path", "#{__dir__}/load/Cargo.toml") || exit(1) \
    unless File.exist?(LOAD)
  proxy = LimitedProxy.new(dir)
  many ? sources(proxy, many, rate) : Flood.new(proxy, rate, Float(arguments.fetch(1, 5))).report
ensure
  proxy&.stop
end
