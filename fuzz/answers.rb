# frozen_string_literal: true

# Has a block answer anything at all, and watches that one connection is all that a bad answer costs.
#
#   ruby fuzz/answers.rb [SEED]           the same answers for the same seed
#   ruby fuzz/answers.rb --answer NUMBER  one of them again
#
# FUZZ_SECONDS says how long, 60 if nothing else is said. Ends with status 1 after a finding.

require "etc"
require "fileutils"
require "rbconfig"
require "rspec/expectations"
require "tmpdir"
%w[owned child eventually foreign_sockets proxy_process].each { |name| require_relative "../spec/support/#{name}" }
%w[conversation log_check peers].each { |name| require_relative "answers/#{name}" }

# Asks a proxy for random answers until the time is over or something is wrong.
class AnswersFuzzer
  BATCH = 2_000
  AT_ONCE = 128
  CONFIG = "load #{File.expand_path("answers/config.rb", __dir__).inspect}\n".freeze

  class Finding < StandardError; end

  attr_reader :asked

  def initialize
    @proxy = ProxyProcess.start(CONFIG, env: Peers.new.environment)
    @conversation = Conversation.new(@proxy.port)
    @log_check = LogCheck.new(File.join(@proxy.dir, "stdout"))
    @under_way = []
    @asked = 0
  end

  def run(seed, seconds)
    random = Random.new(seed)
    finish = now + seconds
    ask_for(Array.new(BATCH) { random.rand(1 << 62) }) while now < finish
    check_end
  end

  def run_again(number)
    ask_for([number])
    puts File.read(File.join(@proxy.dir, "stdout"))
    check_end
  end

  # What is known when something is wrong.
  def report
    log = File.binread(File.join(@proxy.dir, "stdout")).scrub.lines.last(60).join
    "answers under way: #{@under_way.compact.join(" ")}\n--- end of the log\n#{log}\n--- stderr\n#{@proxy.stderr}"
  end

  def stop
    @proxy.stop
  end

  private

  def ask_for(numbers)
    queue = Queue.new(numbers)
    queue.close
    Array.new([AT_ONCE, numbers.size].min) { |index| Thread.new { ask_each(queue, index) } }.each(&:join)
    @asked += numbers.size
    check
  end

  def ask_each(queue, index)
    Thread.current.report_on_exception = false
    while (@under_way[index] = queue.pop)
      begin
        @conversation.ask_for(@under_way[index])
      rescue Conversation::Stuck, SystemCallError => e
        raise Finding, "answer #{@under_way[index]}: #{e.message}"
      end
    end
  end

  def check
    text = "still there? #{asked}"
    raise Finding, "the server has ended" unless @proxy.running?
    raise Finding, "a plain route does not work any more" unless @conversation.echoes?(text)

    bad_line = @log_check.bad_line
    raise Finding, "no line of a log: #{bad_line.inspect}" if bad_line
  end

  def check_end
    @proxy.signal("QUIT")
    status = @proxy.wait(within: Conversation::DEADLINE)
    raise Finding, "ended with #{status.inspect} upon QUIT" unless status.success?
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
    puts "answers: #{fuzzer.asked} answers, no finding"
  rescue StandardError => e
    puts "answers: #{e.message} (#{e.class})", fuzzer.report
    exit 1
  ensure
    fuzzer.stop
  end
end
