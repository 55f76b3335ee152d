# frozen_string_literal: true

# Waits for a condition instead of for a time. The block is called again until it returns a true value or until its
# expectations hold, also after an exception: what it looks at may not be there yet. The deadline only ends a broken
# run, so it is long; then the last failure is raised. SPEC_DEADLINE sets a longer one for emulated processors.
module Eventually
  USUAL_DEADLINE = 20
  DEADLINE = Integer(ENV.fetch("SPEC_DEADLINE", USUAL_DEADLINE))

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
  rescue RSpec::Expectations::ExpectationNotMetError, StandardError => e
    [nil, e]
  end
end
