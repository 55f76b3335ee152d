# frozen_string_literal: true

class ProxyMachine
  # Makes a config's block callable the way configs expect it:
  #
  # * +return+ (and +break+) in the block act like +next+, with their value. The SOCKS4 example of
  #   1.2.4's README relies on it; in a plain Proc they are a LocalJumpError.
  # * Blocks of any arity can be called: what they do not take is left out, what is missing is nil.
  # @api private
  module Callable
    # @param callable [Proc, Method, #call] what was given to a verb
    # @return [Integer] how many arguments it asks for; those with a default are its own business
    def self.arguments(callable)
      required(callable.respond_to?(:arity) ? callable : callable.method(:call))
    rescue NameError
      1 # Something that answers by method_missing.
    end

    # @param callable [Proc, Method, #call] what was given to a verb
    # @param given [Integer] how many arguments it will be called with, no more than it takes but for one
    # @return [#call] the same with the manners above; lambdas and other callables as they are
    def self.wrap(callable, given = 1)
      return callable unless callable.is_a?(Proc)
      return callable.arity.zero? ? ->(_) { callable.call } : callable if callable.lambda?

      method = as_method(callable)
      method ? adapt(method, callable, given) : callable
    end

    # A method has what we want of +return+. Bound to the block's own self it sees the same
    # instance variables; and the module is nameless, so that nobody else sees the method.
    def self.as_method(block)
      holder = Module.new { define_method(:call, &block) }
      holder.instance_method(:call).bind(block.binding.receiver)
    rescue ArgumentError
      nil # A Proc made in C, such as a composed one: there is no +return+ in it.
    end

    # A method is strict about the number of its arguments, a block is not.
    def self.adapt(method, block, given)
      return ->(_) { method.call } if block.arity.zero?

      missing = required(block) - given
      missing.positive? ? ->(*arguments) { method.call(*arguments, *Array.new(missing)) } : method
    end

    def self.required(callable)
      callable.arity.negative? ? -callable.arity - 1 : callable.arity
    end

    private_class_method :as_method, :adapt, :required
  end
end
