# frozen_string_literal: true

# Parses the output of bin/test.
class TestLog
  Step = Struct.new(:title, :text) do
    # Returns the step's own output, without bin/test's lines.
    def told
      text[/.*?(?=^-- #{Regexp.escape(title)}: \d+ s$|\z)/m]
    end

    def to_s
      [title, text[/^-- #{Regexp.escape(title)}: (\d+ s)$/, 1]].compact.join(" ")
    end

    # Returns the numbers of examples and failures from the last such line, because parallel processes print theirs
    # before the sum.
    def examples
      text.scan(/^(\d+) examples?, (\d+) failures?/).last.to_a.map(&:to_i)
    end

    # Returns the failed tests and examples, or the last lines if none is named.
    def failures
      named = text.scan(/^rspec \S+ #.*/)
      named += text.scan(/^failures:\n((?:    \S+\n)+)\ntest result: FAILED/).flatten.flat_map(&:split)
      named.any? ? named : told.strip.lines.last(5).map(&:chomp)
    end
  end

  attr_reader :steps

  def initialize(text)
    @text = text.scrub.gsub(/\e\[[\d;]*m/, "")
    @steps = @text.split(/^== (.*)\n/).drop(1).each_slice(2).map { |title, told| Step.new(title, told.to_s) }
  end

  def counts
    rust = @text.scan(/^test result: \w+\. (\d+) passed/).flatten.sum(&:to_i)
    examples, failures = steps.map(&:examples).reject(&:empty?).transpose.map(&:sum)
    "#{rust} tests of Rust passed; #{examples || 0} examples, #{failures || 0} failures"
  end

  # Returns the steps that bin/test names as failed, or the last step if bin/test was interrupted.
  def failed
    names = @text[/^Failed: (.*);$/, 1]
    names ? steps.select { |step| names.split("; ").include?(step.title) } : steps.last(1)
  end

  # Returns skipped examples with their reasons.
  def left_out
    @text.scan(/^  \d+\) (.*)\n\s+# (.*)/).map { |name, reason| "#{name}: #{reason}" }
  end
end
