# frozen_string_literal: true

class ProxyMachine
  # Makes a config's block callable the way configs expect it:
  #
  # * +return+ (and +break+) in the block act like +next+, with their value. The SOCKS4 example of
  #   1.2.4's README relies on it; in a plain Proc they are a LocalJumpError.
  # * Blocks of any arity can be called with one argument.
  module Callable
    # @param callable [Proc, Method, #call] what was given to +proxy+ or +set_router+
    # @return [#call] the same with the manners above; lambdas and other callables as they are
    def self.wrap(callable)
      return callable unless callable.is_a?(Proc)
      return callable.arity.zero? ? ->(_) { callable.call } : callable if callable.lambda?

      method = as_method(callable)
      method ? adapt(method, callable) : callable
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
    def self.adapt(method, block)
      required = block.arity.negative? ? -block.arity - 1 : block.arity
      return method if required == 1
      return ->(data) { method.call(data, *Array.new(required - 1)) } if required > 1

      block.arity.zero? ? ->(_) { method.call } : method
    end

    private_class_method :as_method, :adapt
  end
end
