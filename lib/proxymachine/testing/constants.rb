# frozen_string_literal: true

require_relative "current_config"

class ProxyMachine
  module Testing
    # Finds a constant of the loaded config where Ruby finds none: the server has them at top level, where also a file
    # that the config requires sees them, and Object.const_get.
    # @api private
    module Constants
      # @param name [Symbol]
      # @return [Object]
      def const_missing(name)
        scope = CurrentConfig.scope
        scope&.const_defined?(name, false) ? scope.const_get(name, false) : super
      end

      Module.send(:prepend, self) # YARD fails at a plain prepend to a class that it does not know.
    end
  end
end
