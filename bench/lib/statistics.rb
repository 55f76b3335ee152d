# frozen_string_literal: true

module Bench
  # Medians and spreads. Ratios are of figures of the same round, so that a slow machine cancels out.
  module Statistics
    Spread = Struct.new(:median, :least, :most)

    module_function

    def spread(values)
      values = values.compact.sort
      return if values.empty?

      middle = values.size / 2
      median = values.size.odd? ? values[middle] : (values[middle - 1] + values[middle]) / 2.0
      Spread.new(median, values.first, values.last)
    end

    # The spread of `metric` over the rounds, for one label.
    def of(rounds, label, metric)
      spread(rounds.map { |round| round.dig(label, metric) })
    end

    def ratio(rounds, mine, other, metric)
      spread(rounds.map { |round| Goal.new(metric: metric, mine: mine, other: other).ratio(round) })
    end
  end
end
