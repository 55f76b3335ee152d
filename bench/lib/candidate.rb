# frozen_string_literal: true

module Bench
  # One row of a workload's table: a peer with its config and load.
  Candidate = Struct.new(:label, :peer, :config, :log, :fresh, :load, keyword_init: true) do
    def initialize(peer:, label: peer, config: "route", log: false, fresh: false, load: {})
      super
    end

    def implementation
      Peer.all.fetch(peer)
    end

    def available?
      implementation.missing.nil? && implementation.supports?(config)
    end
  end

  # A limit for a figure: `metric` of `mine` is at most (with `least`: at least) `factor` times that of `other` in the
  # same round, plus `plus`.
  Goal = Struct.new(:metric, :mine, :other, :factor, :plus, :least, keyword_init: true) do
    def initialize(metric:, factor: 1, mine: "ours", other: nil, plus: 0, least: false)
      super
    end

    # Returns the used share of the limit; 1 is the limit itself. `round` has a Hash of figures for each label.
    def use(round)
      figure = round.dig(mine, metric)
      limit = limit_in(round)
      return unless figure && limit&.positive?

      least ? limit / figure.to_f : figure.to_f / limit
    end

    def ratio(round)
      figures = [mine, other].map { |label| round.dig(label, metric) }
      figures.first.to_f / figures.last if other && figures.all? && !figures.last.zero?
    end

    def limit_in(round)
      return plus unless other

      figure = round.dig(other, metric)
      figure && ((figure * factor) + plus)
    end

    def to_s
      sign = least ? ">=" : "<="
      return "#{sign} #{plus}" unless other

      "#{sign} #{format("%.2f", factor)} x #{other}#{" + #{plus}" unless plus.zero?}"
    end
  end

  # A kind of workload: how it is loaded, who does it, which figures count and which are wanted.
  Workload = Struct.new(:name, :title, :mode, :load, :metrics, :candidates, :goals, :pin, :rounds,
                        keyword_init: true) do
    def initialize(name:, title:, mode:, metrics:, candidates:, load: {}, goals: [], pin: true, rounds: nil)
      super
    end
  end
end
