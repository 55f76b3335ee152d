# frozen_string_literal: true

class ProxyMachine
  # Tells a logger that writes Ruby's default format from one that has its own idea of a line, or of
  # what to do with it.
  class LogFormat
    # The methods that make and write a line.
    METHODS = lambda do
      %i[info warn error add << format_message].map { |name| Logger.instance_method(name) } +
        [Logger::Formatter.instance_method(:call)]
    end

    # As they were before the config was loaded.
    STOCK = METHODS.call
    private_constant :METHODS, :STOCK

    # @param logger [Object] whatever LOGGER is
    def plain?(logger)
      stock?(logger) && logger.info? && logger.formatter.nil? && logger.progname.nil? && logger.datetime_format.nil?
    end

    # Looks again at the next logger, even if it is the same: somebody may have patched it.
    def forget
      @seen = nil
    end

    private

    # The methods are compared once a second, since that takes a while.
    def stock?(logger)
      return @stock if @seen.equal?(logger) && !@seen.nil?

      @seen = logger
      @stock = Logger.instance_method(:class).bind_call(logger) == Logger && logger.singleton_methods.empty? &&
               METHODS.call == STOCK
    end
  end
end
