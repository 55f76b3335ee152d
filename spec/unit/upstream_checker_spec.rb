# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/config/upstream"
require_relative "../../lib/proxymachine/upstreams/checker"

RSpec.describe ProxyMachine::Upstreams::Checker do
  after { @checker&.stop&.each { |thread| thread.join(5) } }

  # Starts a checker with the block. `results` are those of each server, in order.
  def check(*servers, **options, &block)
    upstream = ProxyMachine::Config::Upstream.new(:db, servers, { check: 0.01, **options }, nil)
    upstream.check = block
    @results = Queue.new
    @checker = described_class.new(upstream, servers) { |*result| @results << result }
  end

  def result
    Timeout.timeout(Eventually::DEADLINE) { @results.pop }
  end

  it "says what the block says" do
    answers = [true, false, nil, 5, 0, "yes", -1, 70_000]
    check("a:1") { answers.shift }
    expect(Array.new(8) { result }).to eq [
      ["a:1", true, nil], ["a:1", false, "its check said false"], ["a:1", false, "its check said nil"],
      ["a:1", 5, nil], ["a:1", 0, nil], ["a:1", true, nil],
      ["a:1", false, "its check said -1, and a weight is a number from 0 to 65535"],
      ["a:1", false, "its check said 70000, and a weight is a number from 0 to 65535"]
    ]
  end

  it "takes whatever ends the block for a failure, and checks again" do
    ends = [-> { raise "boom\nmore" }, -> { exit(3) }, -> { throw :nobody }, -> { Thread.exit }, -> { raise Interrupt },
            -> { raise NotImplementedError, "no" }, -> { true }]
    check("a:1") { ends.shift.call }
    expect(Array.new(7) { result }).to match [
      ["a:1", false, "RuntimeError - boom"], ["a:1", false, "SystemExit - exit"],
      ["a:1", false, start_with("UncaughtThrowError - uncaught throw :nobody")],
      ["a:1", false, "it ended its thread"], ["a:1", false, "Interrupt - Interrupt"],
      ["a:1", false, "NotImplementedError - no"], ["a:1", true, nil]
    ]
  end

  it "ends the child of a fork that returns, without a result" do
    pid = nil
    check("a:1", check: 60) { (pid = fork) && true }
    expect(result).to eq ["a:1", true, nil]
    expect(Process.wait2(pid).last.exitstatus).to eq 0
    expect(@results).to be_empty
  end

  it "gives up on a block that hangs, which delays no other server" do
    check("hangs:1", "answers:1", check_timeout: 2) { |server| server == "hangs:1" ? sleep : true }
    seen = [result, result, result]
    expect(seen).to all eq ["answers:1", true, nil]
    loop { break if result == ["hangs:1", false, "its check has not answered within 2 s"] }
  end

  it "counts a block that cannot be ended as a failure, again and again, on one thread" do
    calls = 0
    check("a:1", check_timeout: 0.02) do
      calls += 1
      begin
        sleep
      ensure
        @release = Queue.new
        @release.pop
      end
    end
    expect(Array.new(4) { result.first(2) }).to all eq ["a:1", false]
    expect(calls).to eq 1
    @release << true
  end

  it "checks new servers at once, and forgets those that are gone" do
    check("a:1", check: 60) { true }
    expect(result.first).to eq "a:1"
    @checker.servers = ["b:2"]
    expect(result.first).to eq "b:2"
    @checker.servers = ["a:1", "b:2"]
    expect(result.first).to eq "a:1"
    expect(@results).to be_empty
  end

  it "checks servers that were just started often, until they are up" do
    answers = [false, false, false]
    check("a:1", check: 3600, rise: 2, hold: 60) { answers.empty? || answers.shift }
    expect(result).to eq ["a:1", false, "its check said false"]
    @checker.hurry
    expect(Array.new(4) { result[1] }).to eq [false, false, true, true]
  end

  it "gives the block a String of its own" do
    check("a:1") { |server| server << "x" }
    expect([result, result].map(&:first)).to eq ["a:1", "a:1"]
  end

  it "checks thousands of servers with few threads" do
    threads = 0
    servers = Array.new(3000) { |index| "10.0.0.1:#{index + 1}" }
    check(*servers, check: 60) do
      threads = [threads, Thread.list.size].max
      true
    end
    expect(Array.new(3000) { result.first }).to match_array servers
    expect(threads).to be < 250
  end

  it "leaves no thread when it is stopped" do
    own = -> { Thread.list.count { |thread| thread.name.to_s.start_with?("proxymachine") } }
    check("a:1", "b:2", check_timeout: 60) { sleep }
    Timeout.timeout(Eventually::DEADLINE) { sleep 0.01 until own.call == 3 }
    @checker.stop.each { |thread| thread.join(5) }
    expect(own.call).to eq 0
    expect(@results).to be_empty
  end
end
