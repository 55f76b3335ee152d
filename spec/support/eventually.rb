# frozen_string_literal: true

# Waiting for a condition instead of for a time: the block is asked again until it answers true, or until its
# expectations hold. The deadline is only there to end a broken run, so it is far away.
module Eventually
  DEADLINE = 20

  module_function

  def eventually(within: DEADLINE, &condition)
    limit = monotonic + within
    loop do
      value, failure = attempt(&condition)
      return value if value
      raise(failure || "not true within #{within} s") if monotonic > limit

      sleep 0.005
    end
  end

  def monotonic
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def attempt
    [yield, nil]
  rescue RSpec::Expectations::ExpectationNotMetError => e
    [nil, e]
  end
end
