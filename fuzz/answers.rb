# frozen_string_literal: true

# Fuzzes the answers of a block: an invalid answer must not affect more than its own connection.
#
#   ruby fuzz/answers.rb [SEED]           a seed repeats its answers
#   ruby fuzz/answers.rb --answer NUMBER  repeats one answer
#
# FUZZ_SECONDS is the duration, 60 by default. The exit status is 1 after a finding.

require "etc"
require "fileutils"
require "rbconfig"
require "rspec/expectations"
require "tmpdir"
%w[resource_tracking child eventually foreign_sockets proxy_process].each do |name|
  require_relative "../spec/support/#{name}"
end
%w[fuzz_client log_check fuzz_backends].each { |name| require_relative "answers/#{name}" }

# Requests random answers from a proxy until the time is over or a check fails.
class AnswersFuzzer
  BATCH = 2_000
  CONCURRENCY = 128
  CONFIG = "load #{File.expand_path("answers/config.rb", __dir__).inspect}\n".freeze

  class Finding < StandardError; end

  attr_reader :answers

  def initialize
    @proxy = ProxyProcess.start(CONFIG, env: FuzzBackends.new.environment)
    @fuzz_client = FuzzClient.new(@proxy.port)
    @log_check = LogCheck.new(File.join(@proxy.dir, "stdout"))
    @in_flight = []
    @answers = 0
  end

  def run(seed, seconds)
    random = Random.new(seed)
    deadline = now + seconds
    request(Array.new(BATCH) { random.rand(1 << 62) }) while now < deadline
    check_end
  end

  def run_again(number)
    request([number])
    puts File.read(File.join(@proxy.dir, "stdout"))
    check_end
  end

  # Describes the state after a finding.
  def report
    log = File.binread(File.join(@proxy.dir, "stdout")).scrub.lines.last(60).join
    "answers in flight: #{@in_flight.compact.join(" ")}\n--- end of the log\n#{log}\n--- stderr\n#{@proxy.stderr}"
  end

  def stop
    @proxy.stop
  end

  private

  def request(numbers)
    queue = Queue.new(numbers)
    queue.close
    Array.new([CONCURRENCY, numbers.size].min) { |index| Thread.new { request_each(queue, index) } }.each(&:join)
    @answers += numbers.size
    check
  end

  def request_each(queue, index)
    Thread.current.report_on_exception = false
    while (@in_flight[index] = queue.pop)
      begin
        @fuzz_client.request(@in_flight[index])
      rescue FuzzClient::Stuck, SystemCallError => e
        raise Finding, "answer #{@in_flight[index]}: #{e.message}"
      end
    end
  end

  def check
    text = "echo #{answers}"
    raise Finding, "the server has ended" unless @proxy.running?
    raise Finding, "a plain route no longer works" unless @fuzz_client.echoes?(text)

    bad_line = @log_check.bad_line
    raise Finding, "not a log line: #{bad_line.inspect}" if bad_line
  end

  def check_end
    @proxy.signal("QUIT")
    status = @proxy.wait(within: FuzzClient::DEADLINE)
    raise Finding, "ended with #{status.inspect} after QUIT" unless status.success?
    raise Finding, "wrote on stderr" unless @proxy.stderr.empty?
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

if $PROGRAM_NAME == __FILE__
  again = ARGV.delete("--answer")
  seed = Integer(ARGV.first || Random.new_seed % (1 << 32))
  fuzzer = AnswersFuzzer.new
  begin
    puts "answers: seed #{seed}" unless again
    again ? fuzzer.run_again(seed) : fuzzer.run(seed, Integer(ENV.fetch("FUZZ_SECONDS", "60")))
    puts "answers: #{fuzzer.answers} answers, no finding"
  rescue StandardError => e
    puts "answers: #{e.message} (#{e.class})", fuzzer.report
    exit 1
  ensure
    fuzzer.stop
  end
end
