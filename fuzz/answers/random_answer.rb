# frozen_string_literal: true

require_relative "hostile_behavior"
require_relative "random_value"

# A random answer of a block. Most are nearly valid, because a wholly invalid answer is rejected early.
class RandomAnswer
  include RandomChoice

  KEYS = %i[remote close noop data reply connect_timeout inactivity_timeout limit over].freeze

  def answer
    by_weight(route: 30, close: 10, noop: 4, any_keys: 10, short_form: 6, anything: 8, misbehave: 4)
  end

  private

  def route
    hash_of(remote: remote, **maybe(:data, :reply, :over), **timeouts, **limit)
  end

  def close
    hash_of(close: one_of(true, text, value), **maybe(:data, :noop))
  end

  def noop
    hash_of(noop: one_of(true, true, value), **maybe(:close, :reply))
  end

  def any_keys
    hash_of(some_of([*KEYS, *KEYS.map(&:to_s), nil, 1], 5).to_h { |key| [key, value] })
  end

  def short_form
    one_of(:noop, :close, :remote, "noop", remote, remote)
  end

  def anything
    value
  end

  def misbehave
    HostileBehavior.new(@random).perform
  end

  def hash_of(pairs)
    hash = (one_in?(5) ? Class.new(Hash) : Hash).new.merge!(pairs)
    make_unusual(hash) if one_in?(6)
    hash
  end

  # Gives the Hash an unusual property: a default, identity comparison, a cycle, many keys.
  def make_unusual(hash)
    one_of(-> { hash.default_proc = ->(*) { misbehave } },
           -> { hash.compare_by_identity },
           -> { hash[:close] = hash },
           -> { hash[:padding] = Array.new(10_000) { |number| number } },
           -> { HostileBehavior.new(@random).inject_into(hash) },
           -> { hash.freeze }).call
  end

  def maybe(*keys)
    some_of(keys, keys.size + 1).to_h { |key| [key, one_in?(4) ? value : text] }
  end

  def timeouts
    some_of(%i[connect_timeout inactivity_timeout], 3).to_h { |key| [key, one_in?(5) ? value : seconds] }
  end

  def limit
    return {} unless one_in?(3)

    limits = Array.new(@random.rand(4)) { [one_of(value, text, "tenant", :tenant), one_in?(5) ? value : 1_000_000] }
    { limit: one_in?(8) ? value : limits.to_h }
  end

  %i[value text seconds remote].each do |name|
    define_method(name) { RandomValue.new(@random).public_send(name) }
  end
end
