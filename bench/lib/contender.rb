# frozen_string_literal: true

module Bench
  # One line of a work's table: a peer, in a setting, under a load.
  Contender = Struct.new(:label, :peer, :config, :log, :fresh, :load, keyword_init: true) do
    def initialize(peer:, label: peer, config: "route", log: false, fresh: false, load: {})
      super
    end

    def implementation
      Peer.all.fetch(peer)
    end

    def available?
      implementation.missing.nil? && implementation.plays?(config)
    end
  end

  # A figure that should hold: `metric` of `mine` against `other` in the same round, at most (or `least`: at least) so
  # often as much, and `plus` more.
  Goal = Struct.new(:metric, :mine, :other, :factor, :plus, :least, keyword_init: true) do
    def initialize(metric:, factor: 1, mine: "ours", other: nil, plus: 0, least: false)
      super
    end

    # How much of what is allowed was used: 1 is just reached. `round` has a Hash of figures for each label.
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

  # A kind of work: how it is loaded, who does it, which figures count and which are wanted.
  Work = Struct.new(:name, :title, :mode, :load, :metrics, :contenders, :goals, :pin, :rounds, keyword_init: true) do
    def initialize(name:, title:, mode:, metrics:, contenders:, load: {}, goals: [], pin: true, rounds: nil)
      super
    end
  end
end
