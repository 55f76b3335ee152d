# frozen_string_literal: true

module Bench
  # Compares two runs of bench/run. If both measured HAProxy, its change is divided out, because the machine caused it.
  class Comparison
    # The metrics of the program. For the last one, more is better.
    METRICS = %w[cpu_us p50_us p99_us bytes_each cpu_us_per_s wakeups_per_s ms rate].freeze

    HEAD = ["workload", "who", "figure", "before", "after", "after to before", "the same, machine taken out"].freeze

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
      (@before["workloads"].keys & @after["workloads"].keys).flat_map do |workload|
        labels = labels_of(@before, workload) & labels_of(@after, workload)
        labels.product(METRICS).filter_map { |label, metric| row(workload, label, metric) }
      end
    end

    # This tree; for a workload without peers, such as latency, its conditions.
    def labels_of(run, workload)
      labels = run["workloads"][workload].flat_map(&:keys).uniq
      labels.include?("ours") ? ["ours"] : labels.reject { |label| label.start_with?(*Peer.all.keys) }
    end

    def row(workload, label, metric)
      change = change(workload, label, metric) or return
      machine = change(workload, "haproxy", metric)
      figures = [*medians(workload, label, metric), change, machine && (change / machine)]
      [workload, label, metric, *figures.map { |figure| figure ? form(figure) : "" }]
    end

    def change(workload, label, metric)
      before, after = medians(workload, label, metric)
      after / before if before&.positive? && after&.positive?
    end

    def medians(workload, label, metric)
      [@before, @after].map { |run| median(run, workload, label, metric) }
    end

    def median(run, workload, label, metric)
      Statistics.spread(run["workloads"][workload].map { |round| round.dig(label, metric) })&.median&.to_f
    end

    def form(figure)
      format("%.2f", figure)
    end
  end
end
