# frozen_string_literal: true

require "fileutils"
require "rbconfig"
require "socket"
require "timeout"

# A server and its clients for some seconds.
class Round
  ROOT = File.expand_path("../../..", __dir__)
  PROGRAM = File.join(File.expand_path(ENV.fetch("HUNT_TREE", ROOT)), "exe/proxymachine")
  LOGS = File.expand_path(ENV.fetch("HUNT_LOGS", "#{ROOT}/tmp/gc_hunt"))
  # Ruby scans the machine's stack for objects, so locals must stay there. Ruby handles SIGSEGV itself: a compaction
  # provokes the signal on purpose.
  SANITIZER = "detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:use_sigaltstack=0:" \
              "abort_on_error=1"
  DISASTER = /^.*(?:\[BUG\]|AddressSanitizer|panicked at|double free|corrupted).*$/
  CLIENTS = 6

  attr_reader :talks

  def initialize(mode, threads, peers)
    @mode = mode
    @name = "ruby-#{RUBY_VERSION}-#{mode}-#{threads}"
    @output = "#{LOGS}/#{@name}.log"
    @environment = {
      "HUNT_MODE" => mode, "HUNT_THREADS" => threads.to_s, "HUNT_LOG_FORMAT" => threads > 1 ? "json" : "text",
      "HUNT_ACCESS_LOG" => "#{LOGS}/#{@name}.access", "HUNT_BACKENDS" => peers.addresses.join(" "),
      "LD_PRELOAD" => ENV["HUNT_PRELOAD"], "ASAN_OPTIONS" => SANITIZER, "RUST_BACKTRACE" => "1"
    }
    @talks = 0
    @faults = Queue.new
  end

  # Returns what went wrong.
  def run(seconds)
    start
    load_until(now + seconds)
    stop
    [*File.read(@output, encoding: "BINARY").scan(DISASTER).first(20), *Array.new(@faults.size) { @faults.pop }]
  end

  def to_s
    "#{@name}: #{talks} conversations"
  end

  private

  def start
    FileUtils.mkdir_p(LOGS)
    command = [RbConfig.ruby, PROGRAM, "-c", "#{__dir__}/config.rb"]
    @pid = Process.spawn(@environment, *command, "-h", "127.0.0.1", "-p", "0", %i[out err] => @output)
    @waiter = Process.detach(@pid)
    Timeout.timeout(60) { sleep 0.1 until announced.size == 2 || !running? }
    @ports = announced
    raise "it did not start: #{File.read(@output)}" unless running?
  end

  # The clients talk; meanwhile the server reloads its config each second.
  def load_until(finish)
    clients = Array.new(CLIENTS) { Thread.new { talk until now > finish || @faults.size > 20 } }
    reload while sleep(1) && clients.any?(&:alive?)
    clients.each(&:join)
  end

  # Ruby holds the GVL while it compiles a config, which takes a minute under GC.stress.
  def reload
    Process.kill("HUP", @pid) if running? && @mode != "stress"
  end

  def announced
    File.read(@output).scan(/Listening on 127\.0\.0\.1:(\d+)/).flatten.map(&:to_i)
  end

  def talk
    conversation = Conversations::ALL.sample
    heard = Conversations.hold(conversation, @ports)
    @talks += 1
    return if conversation.fits?(heard)

    @faults << "#{conversation.says[0, 60].inspect} was answered by #{heard[0, 200].inspect}"
  rescue SystemCallError, Timeout::Error, IOError => e
    @faults << "#{conversation.says[0, 60].inspect} failed: #{e.message} (#{e.class})"
    sleep 1
  end

  def stop
    Process.kill("QUIT", @pid) if running?
    return @faults << "it did not end within 60 s after QUIT" unless @waiter.join(60)

    @faults << "it ended by #{@waiter.value.inspect}" unless @waiter.value.success?
  ensure
    Process.kill("KILL", @pid) if running?
  end

  def running?
    @waiter.alive?
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
