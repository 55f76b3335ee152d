# frozen_string_literal: true

# Random choices that a seed repeats.
module RandomChoice
  def initialize(random)
    @random = random
  end

  private

  # Calls one of the methods, chosen by weight.
  def by_weight(weights)
    left = @random.rand(weights.values.sum)
    method, = weights.find { |_, weight| (left -= weight).negative? }
    send(method)
  end

  def one_of(*choices)
    choices.sample(random: @random)
  end

  def some_of(choices, count)
    choices.sample(@random.rand(count), random: @random)
  end

  def one_in?(count)
    @random.rand(count).zero?
  end
end
