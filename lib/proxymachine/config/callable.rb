# frozen_string_literal: true

class ProxyMachine
  class Config
    # Makes a config's block callable:
    #
    # * +return+ and +break+ in the block act like +next+, with their value. In a plain Proc they raise LocalJumpError.
    #   The SOCKS4 example of 1.2.4's README relies on +return+.
    # * Blocks of any arity can be called: extra arguments are left out, missing ones are nil.
    # @api private
    module Callable
      # @param callable [Proc, Method, #call] the block
      # @return [Integer] how many arguments it requires; optional ones do not count
      def self.arguments(callable)
        required(callable.respond_to?(:arity) ? callable : callable.method(:call))
      rescue NameError
        1 # An object that answers +call+ by method_missing.
      end

      # @param callable [Proc, Method, #call] the block
      # @param given [Integer] how many arguments it will be called with
      # @return [#call] the block as described above; lambdas and other callables unchanged
      def self.wrap(callable, given = 1)
        return callable unless callable.is_a?(Proc)
        return callable.arity.zero? ? ->(_) { callable.call } : callable if callable.lambda?

        method = as_method(callable)
        method ? adapt(method, callable, given) : callable
      end

      # Makes a method of the block, because +return+ leaves a method with its value. The method is bound to the
      # block's own self, so it sees the same instance variables. The module has no name, so no other code sees it.
      def self.as_method(block)
        holder = Module.new { define_method(:call, &block) }
        holder.instance_method(:call).bind(block.binding.receiver)
      rescue ArgumentError
        nil # A Proc made in C, such as a composed one. It has no +return+.
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
end
