# frozen_string_literal: true

module Bench
  # Two runs of bench/run, ours against ours. Where HAProxy was in both, its change is taken out: that was the machine.
  class Comparison
    # The metrics that say something about the program; for the last ones, more is better.
    METRICS = %w[cpu_us p50_us p99_us bytes_each cpu_us_per_s wakeups_per_s ms rate].freeze

    HEAD = ["work", "who", "figure", "before", "after", "after to before", "the same, machine taken out"].freeze

    def initialize(before, after)
      @before = before
      @after = after
    end

    def to_s
      machines = [@before, @after].map { |run| run["machine"].values_at("commit", "time", "processor", "kernel") }
      heads = %w[before after].zip(machines).map { |name, facts| "- #{name}: #{facts.compact.join(", ")}" }
      [*heads, "", *[HEAD, HEAD.map { "---" }, *rows].map { |row| "| #{row.join(" | ")} |" }].join("\n")
    end

    private

    def rows
      (@before["works"].keys & @after["works"].keys).flat_map do |work|
        labels = labels_of(@before, work) & labels_of(@after, work)
        labels.product(METRICS).filter_map { |label, metric| row(work, label, metric) }
      end
    end

    # Ours; in a work without peers, such as latency, its conditions.
    def labels_of(run, work)
      labels = run["works"][work].flat_map(&:keys).uniq
      labels.include?("ours") ? ["ours"] : labels.reject { |label| label.start_with?(*Peer.all.keys) }
    end

    def row(work, label, metric)
      change = change(work, label, metric) or return
      machine = change(work, "haproxy", metric)
      figures = [*medians(work, label, metric), change, machine && (change / machine)]
      [work, label, metric, *figures.map { |figure| figure ? form(figure) : "" }]
    end

    def change(work, label, metric)
      before, after = medians(work, label, metric)
      after / before if before&.positive? && after&.positive?
    end

    def medians(work, label, metric)
      [@before, @after].map { |run| median(run, work, label, metric) }
    end

    def median(run, work, label, metric)
      Figures.spread(run["works"][work].map { |round| round.dig(label, metric) })&.median&.to_f
    end

    def form(figure)
      format("%.2f", figure)
    end
  end
end
