# frozen_string_literal: true

require "timeout"
require_relative "random_choice"

# Random misbehaviour of Ruby code that the proxy calls: exceptions, throws, deep recursion, wrong values. Left out is
# what is meant for the whole server: exit, signals, Thread#kill.
class HostileBehavior
  include RandomChoice

  # The methods that the proxy may call on an answer to read or log it.
  METHODS = %i[to_s to_str to_f to_i to_hash to_ary to_sym inspect hash == === eql? nil? class is_a? kind_of?
               respond_to? bytesize encoding length encode scrub byteslice [] fetch any? each transform_values
               default].freeze

  # An exception whose message misbehaves, too.
  class HostileError < StandardError
    attr_writer :message_source

    def message
      @message_source.call
    end
  end

  def perform
    by_weight(raise_error: 6, raise_hostile_error: 2, raise_non_standard_error: 2, throw_uncaught: 1, overflow: 1,
              time_out: 1, collect_garbage: 1, delay: 1, return_text: 4, return_wrong_type: 4)
  end

  # Redefines a few methods of the object so that they misbehave.
  def inject_into(object)
    singleton = class << object; self; end
    [*some_of(METHODS, 5), one_of(*METHODS)].each do |name|
      seed = @random.rand(1 << 32)
      singleton.define_method(name) { |*| HostileBehavior.new(Random.new(seed)).perform }
    end
    object
  end

  private

  def raise_error
    raise one_of(RuntimeError, ArgumentError, EncodingError, IOError, Errno::ECONNRESET, Timeout::Error, StopIteration),
          return_text
  end

  def raise_hostile_error
    seed = @random.rand(1 << 32)
    error = HostileError.new
    error.message_source = -> { HostileBehavior.new(Random.new(seed)).return_wrong_type }
    raise error
  end

  def raise_non_standard_error
    raise one_of(NotImplementedError, LoadError, NoMemoryError, SecurityError, Exception), "serious"
  end

  def throw_uncaught
    throw :nowhere
  end

  def overflow
    overflow + 1
  end

  def time_out
    Timeout.timeout(0.001) { sleep }
  end

  def collect_garbage
    one_in?(20) ? GC.compact : GC.start
    "collected"
  end

  def delay
    sleep 0.002
    "slow"
  end

  def return_text
    one_of("text", +"", "two\nlines", "\e[31mred\u0085\u2028", "\xff\xfe", "wide".encode("UTF-16LE"), "x" * 100_000,
           :symbol)
  end

  protected

  def return_wrong_type
    one_of(nil, true, 5, -1.5, Float::NAN, [], {}, Object.new, BasicObject.new, Class, return_text, self)
  end
end
