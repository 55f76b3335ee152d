# frozen_string_literal: true

require "timeout"
require_relative "random_choice"

# What Ruby code can do when it is called, short of what is meant for the whole server: an exit, a signal, Thread#kill.
class Mischief
  include RandomChoice

  # What somebody may call on an answer to read it or to log it.
  METHODS = %i[to_s to_str to_f to_i to_hash to_ary to_sym inspect hash == === eql? nil? class is_a? kind_of?
               respond_to? bytesize encoding length encode scrub byteslice [] fetch any? each transform_values
               default].freeze

  # Its message is as bad as the exception.
  class Worse < StandardError
    attr_writer :mischief

    def message
      @mischief.call
    end
  end

  def do_something
    by_weight(raise_error: 6, raise_worse: 2, raise_serious: 2, throw_away: 1, overflow: 1, time_out: 1, collect: 1,
              dawdle: 1, return_text: 4, return_nonsense: 4)
  end

  # Has a few methods of the object do something else.
  def infect(object)
    singleton = class << object; self; end
    [*some_of(METHODS, 5), one_of(*METHODS)].each do |name|
      seed = @random.rand(1 << 32)
      singleton.define_method(name) { |*| Mischief.new(Random.new(seed)).do_something }
    end
    object
  end

  private

  def raise_error
    raise one_of(RuntimeError, ArgumentError, EncodingError, IOError, Errno::ECONNRESET, Timeout::Error, StopIteration),
          return_text
  end

  def raise_worse
    seed = @random.rand(1 << 32)
    raise(Worse.new.tap { |error| error.mischief = -> { Mischief.new(Random.new(seed)).return_nonsense } })
  end

  def raise_serious
    raise one_of(NotImplementedError, LoadError, NoMemoryError, SecurityError, Exception), "serious"
  end

  def throw_away
    throw :nowhere
  end

  def overflow
    overflow + 1
  end

  def time_out
    Timeout.timeout(0.001) { sleep }
  end

  def collect
    one_in?(20) ? GC.compact : GC.start
    "collected"
  end

  def dawdle
    sleep 0.002
    "slow"
  end

  def return_text
    one_of("text", +"", "two\nlines", "\e[31mred\u0085\u2028", "\xff\xfe", "wide".encode("UTF-16LE"), "x" * 100_000,
           :symbol)
  end

  protected

  def return_nonsense
    one_of(nil, true, 5, -1.5, Float::NAN, [], {}, Object.new, BasicObject.new, Class, return_text, self)
  end
end
