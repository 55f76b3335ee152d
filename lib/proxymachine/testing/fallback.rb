# frozen_string_literal: true

class ProxyMachine
  module Testing
    # A method that a config defines at top level can be called anywhere in the config. In the server it is one of
    # Object. Here it is one of the config's module, so the classes of the config look there for a method that they do
    # not have.
    # @api private
    module Fallback
      # @param scope [Module] has the methods
      # @return [Module] for the classes
      def self.for(scope)
        Module.new do
          define_method(:method_missing) do |name, *arguments, &block|
            return super(name, *arguments, &block) unless scope.private_method_defined?(name) ||
                                                          scope.method_defined?(name)

            scope.instance_method(name).bind_call(self, *arguments, &block)
          end
          ruby2_keywords :method_missing
          private :method_missing
        end
      end

      # @param fallback [Module]
      # @param target [Module] a class or module of the config
      def self.add(fallback, target)
        target.include(fallback)
        target.extend(fallback)
      end
    end
  end
end
