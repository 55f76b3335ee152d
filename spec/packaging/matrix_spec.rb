# frozen_string_literal: true

require_relative "../../rakelib/lib/matrix"

# The report of `rake matrix`. The runs themselves take too long for a spec.
RSpec.describe Matrix::Result do
  def summary(passed, text)
    Dir.mktmpdir do |dir|
      File.write("#{dir}/log", text)
      described_class.new("Debian 13", passed, "#{dir}/log").summary[..-2]
    end
  end

  it "lists the steps, counts tests and examples, and names skipped ones with the reason" do
    expect(summary(true, <<~TEXT)).to eq(<<~SUMMARY.lines(chomp: true))
      == set-up

      == engine
      test result: ok. 5 passed; 0 failed; 0 ignored
      test result: ok. 2 passed; 0 failed; 0 ignored
      -- engine: 5 s

      == types
      \e[33m..*..\e[0m
      Pending: (Failures listed here are expected and do not affect your suite's status)

        1) A start that fails
           \e[36m# root may read everything\e[0m
           \e[36m# ./spec/contract/start_failures_spec.rb:6\e[0m

      2 examples, 0 failures, 1 pending
      -- types: 7 s
    TEXT
      Debian 13: passed
        ran: set-up; engine 5 s; types 7 s
        7 tests of Rust passed; 2 examples, 0 failures
        not covered: A start that fails: root may read everything
    SUMMARY
  end

  it "counts each example once, although parallel_rspec prints a sum, too" do
    expect(summary(true, <<~TEXT)).to include("  0 tests of Rust passed; 45 examples, 0 failures")
      == gem
      20 examples, 0 failures
      22 examples, 0 failures, 1 pending
      42 examples, 0 failures, 1 pending
      -- gem: 5 s
      == types
      3 examples, 0 failures
      -- types: 5 s
    TEXT
  end

  it "names failed tests and examples, and prints the last lines of a failed step without any" do
    expect(summary(false, <<~TEXT)).to eq(<<~SUMMARY.lines(chomp: true))
      == engine
      failures:

      ---- a_test stdout ----
      panicked

      failures:
          a_test

      test result: FAILED. 0 passed; 1 failed; 0 ignored
      -- engine: 5 s
      == gem
      2 examples, 1 failure
      rspec ./spec/a_spec.rb:3 # A does b
      -- gem: 5 s
      == types
      3 examples, 0 failures
      -- types: 5 s
      == soak
      bytes were lost
      -- soak: 5 s

      Failed: engine; gem; soak;
    TEXT
      Debian 13: FAILED
        ran: engine 5 s; gem 5 s; types 5 s; soak 5 s
        0 tests of Rust passed; 5 examples, 1 failures
        FAILED: engine
          a_test
        FAILED: gem
          rspec ./spec/a_spec.rb:3 # A does b
        FAILED: soak
          bytes were lost
    SUMMARY
  end

  it "names the step in which bin/test stopped" do
    expect(summary(false, "== set-up\nbin/setup: please install what is named above\n").drop(3))
      .to eq(["  FAILED: set-up", "    bin/setup: please install what is named above"])
  end

  it "prints the reason why a system was not covered" do
    expect(described_class.new("sid", nil, nil, "only root can make one").summary)
      .to eq(["sid: not covered: only root can make one"])
  end
end
