# frozen_string_literal: true

module Bench
  # Medians and spreads; of ratios, those within a round, so that what slows both down cancels out.
  module Figures
    Spread = Struct.new(:median, :least, :most)

    module_function

    def spread(values)
      values = values.compact.sort
      return if values.empty?

      middle = values.size / 2
      median = values.size.odd? ? values[middle] : (values[middle - 1] + values[middle]) / 2.0
      Spread.new(median, values.first, values.last)
    end

    # Of `metric` over the rounds, for one label.
    def of(rounds, label, metric)
      spread(rounds.map { |round| round.dig(label, metric) })
    end

    def ratio(rounds, mine, other, metric)
      spread(rounds.map { |round| Goal.new(metric: metric, mine: mine, other: other).ratio(round) })
    end
  end
end
