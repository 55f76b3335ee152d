# frozen_string_literal: true

# What a run of bin/test covered, read from its output.
class TestLog
  Step = Struct.new(:title, :text) do
    # What it told, without bin/test's own lines around it.
    def told
      text[/.*?(?=^-- #{Regexp.escape(title)}: \d+ s$|\z)/m]
    end

    def to_s
      [title, text[/^-- #{Regexp.escape(title)}: (\d+ s)$/, 1]].compact.join(" ")
    end

    # Of examples and failures. What tells it last counts: several processes tell their own and then the sum.
    def examples
      text.scan(/^(\d+) examples?, (\d+) failures?/).last.to_a.map(&:to_i)
    end

    # The tests and examples that failed; if it names none, its last words.
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

  # Those that bin/test names at its end; the last one, if it did not get so far.
  def failed
    names = @text[/^Failed: (.*);$/, 1]
    names ? steps.select { |step| names.split("; ").include?(step.title) } : steps.last(1)
  end

  # Examples that were skipped, each with its reason.
  def left_out
    @text.scan(/^  \d+\) (.*)\n\s+# (.*)/).map { |name, reason| "#{name}: #{reason}" }
  end
end
