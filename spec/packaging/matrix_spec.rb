# frozen_string_literal: true

require_relative "../../rakelib/lib/matrix"

# What `rake matrix` says of a run; the runs themselves take too long for here.
RSpec.describe Matrix::Result do
  def summary(passed, text)
    Dir.mktmpdir do |dir|
      File.write("#{dir}/log", text)
      described_class.new("Debian 13", passed, "#{dir}/log").summary[..-2]
    end
  end

  it "counts what ran, and names what was left out and why" do
    expect(summary(true, <<~TEXT)).to eq(["Debian 13: passed: 2 steps; 7 tests of Rust passed; 42 examples, 0 failures",
      == set-up

      == engine
      test result: ok. 5 passed; 0 failed; 0 ignored
      test result: ok. 2 passed; 0 failed; 0 ignored
      \e[33m..*..\e[0m
      Pending: (Failures listed here are expected and do not affect your suite's status)

        1) A start that fails
           \e[36m# root may read everything\e[0m
           \e[36m# ./spec/contract/start_failures_spec.rb:6\e[0m

      40 examples, 0 failures, 1 pending
      2 examples, 0 failures
    TEXT
                                          "  not covered: A start that fails: root may read everything"])
  end

  it "names what failed" do
    expect(summary(false, <<~TEXT)).to eq(["Debian 13: FAILED: 1 steps; 0 tests of Rust passed; 2 examples, 1 failures",
      == gem
      2 examples, 1 failure
      rspec ./spec/a_spec.rb:3 # A does b
      Failed: gem;
    TEXT
                                           "  rspec ./spec/a_spec.rb:3 # A does b", "  Failed: gem;"])
  end

  it "says why a system was not covered" do
    expect(described_class.new("sid", nil, nil, "only root can make one").summary)
      .to eq(["sid: not covered: only root can make one"])
  end
end
