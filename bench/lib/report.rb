# frozen_string_literal: true

module Bench
  # The Markdown report of a run.
  class Report
    FACTS = %w[commit processor processors kernel ruby pinning].freeze

    def initialize(machine, results, missing)
      @machine = machine
      @results = results
      @missing = missing
    end

    def to_s
      [heading, goals, *@results.map { |workload, rounds| table(workload, rounds) }].compact.join("\n\n")
    end

    private

    def heading
      facts = FACTS.map { |name| "#{name}: #{@machine[name]}" }
      versions = @machine["versions"].map { |name, version| "#{name} #{version}" }.join(", ")
      lines = [*facts, "versions: #{versions}", *@missing.map { |name, why| "left out: #{name}, #{why}" }]
      lines.map { |line| "- #{line}" }.join("\n")
    end

    # One row per goal with enough figures.
    def goals
      rows = @results.flat_map do |workload, rounds|
        workload.goals.map do |goal|
          goal_row(workload, goal, rounds)
        end
      end.compact
      return if rows.empty?

      rows_of(["workload", "figure", "goal", "median", "other", "ratio (min–max)", "reached"], rows)
    end

    def goal_row(workload, goal, rounds)
      use = Statistics.spread(rounds.map { |round| goal.use(round) }) or return
      figures = [goal.mine, goal.other].map { |label| number(Statistics.of(rounds, label, goal.metric)) }
      ratio = Statistics.spread(rounds.map { |round| goal.ratio(round) })
      name = [workload.name, *(goal.mine unless goal.mine == "ours")].join(", ")
      [name, workload.metrics.fetch(goal.metric), goal, *figures, range(ratio), use.median <= 1.0 ? "yes" : "no"]
    end

    def table(workload, rounds)
      labels = workload.candidates.map(&:label) & rounds.flat_map(&:keys)
      return if labels.empty?

      name = workload.metrics.values.first
      head = ["", *workload.metrics.values, "#{name}, min–max", "#{name}: #{labels.first} to this"]
      rows = labels.map { |label| row(workload, rounds, label, labels.first) }
      "### #{workload.name}: #{workload.title}\n\n#{rows_of(head, rows)}"
    end

    def row(workload, rounds, label, first)
      spreads = workload.metrics.keys.map { |metric| Statistics.of(rounds, label, metric) }
      ratio = Statistics.ratio(rounds, first, label, workload.metrics.keys.first) unless label == first
      [label, *spreads.map { |spread| number(spread) }, edges(spreads.first), range(ratio)]
    end

    def rows_of(head, rows)
      [head, head.map { "---" }, *rows].map { |row| "| #{row.join(" | ")} |" }.join("\n")
    end

    def range(spread)
      spread ? "#{two(spread.median)} (#{edges(spread) { |value| two(value) }})" : ""
    end

    def edges(spread, &form)
      form ||= method(:short)
      spread ? "#{form.call(spread.least)}–#{form.call(spread.most)}" : ""
    end

    def number(spread)
      spread ? short(spread.median) : ""
    end

    # Prints only significant digits.
    def short(value)
      return "0" if value.zero?

      return two(value) if value.abs < 10

      value.round(value.abs < 1000 ? 1 : 0).to_s
    end

    def two(value)
      format("%.2f", value)
    end
  end
end
