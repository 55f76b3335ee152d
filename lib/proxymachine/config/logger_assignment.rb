# frozen_string_literal: true

class ProxyMachine
  class Config
    # Suppresses Ruby's warning about `LOGGER = Logger.new(file)` in a config, which is the documented way to choose a
    # log. Only the first assignment is silent: a config that assigns the constant twice gets the warning.
    # @api private
    module LoggerAssignment
      # Ruby prints two lines: the new place of the constant, and the old place.
      WARNING = /: warning: (already initialized constant LOGGER|previous definition of LOGGER was here)\n?\z/n
      private_constant :WARNING

      # Extends Warning, to which Ruby passes each warning.
      # @api private
      module Filter
        # @param message [String]
        def warn(message, ...)
          super unless LoggerAssignment.hide?(message)
        end
      end

      class << self
        # Hides the warning while the block, which loads a config, runs.
        def silently
          Warning.extend(Filter)
          @replaceable = LOGGER
          yield
        ensure
          @replaceable = nil
        end

        # Whether a warning is about the first assignment. LOGGER still has its old value when Ruby warns.
        # @param message [String]
        def hide?(message)
          !@replaceable.nil? && LOGGER.equal?(@replaceable) && WARNING.match?(message.b)
        end
      end
    end
  end
end
