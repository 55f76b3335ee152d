# frozen_string_literal: true

module Bench
  # The Markdown of a run.
  class Report
    FACTS = %w[commit processor processors kernel ruby pinning].freeze

    def initialize(machine, results, missing)
      @machine = machine
      @results = results
      @missing = missing
    end

    def to_s
      [heading, goals, *@results.map { |work, rounds| table(work, rounds) }].compact.join("\n\n")
    end

    private

    def heading
      facts = FACTS.map { |name| "#{name}: #{@machine[name]}" }
      versions = @machine["versions"].map { |name, version| "#{name} #{version}" }.join(", ")
      lines = [*facts, "versions: #{versions}", *@missing.map { |name, why| "left out: #{name}, #{why}" }]
      lines.map { |line| "- #{line}" }.join("\n")
    end

    # One line per goal that could be judged.
    def goals
      rows = @results.flat_map { |work, rounds| work.goals.map { |goal| goal_row(work, goal, rounds) } }.compact
      return if rows.empty?

      rows_of(["work", "figure", "goal", "median", "other", "ratio (min–max)", "reached"], rows)
    end

    def goal_row(work, goal, rounds)
      use = Figures.spread(rounds.map { |round| goal.use(round) }) or return
      figures = [goal.mine, goal.other].map { |label| number(Figures.of(rounds, label, goal.metric)) }
      ratio = Figures.spread(rounds.map { |round| goal.ratio(round) })
      name = [work.name, *(goal.mine unless goal.mine == "ours")].join(", ")
      [name, work.metrics.fetch(goal.metric), goal, *figures, range(ratio), use.median <= 1.0 ? "yes" : "no"]
    end

    def table(work, rounds)
      labels = work.contenders.map(&:label) & rounds.flat_map(&:keys)
      return if labels.empty?

      name = work.metrics.values.first
      head = ["", *work.metrics.values, "#{name}, min–max", "#{name}: #{labels.first} to this"]
      rows = labels.map { |label| row(work, rounds, label, labels.first) }
      "### #{work.name}: #{work.title}\n\n#{rows_of(head, rows)}"
    end

    def row(work, rounds, label, first)
      spreads = work.metrics.keys.map { |metric| Figures.of(rounds, label, metric) }
      ratio = Figures.ratio(rounds, first, label, work.metrics.keys.first) unless label == first
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

    # As many digits as mean something.
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
