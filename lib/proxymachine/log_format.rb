# frozen_string_literal: true

class ProxyMachine
  # Tells a logger that writes Ruby's default format from one that has its own idea of a line, or of
  # what to do with it.
  # @api private
  class LogFormat
    # The methods that make and write a line.
    METHODS = lambda do
      %i[info warn error add << format_message].map { |name| Logger.instance_method(name) } +
        [Logger::Formatter.instance_method(:call)]
    end

    # As they were before the config was loaded.
    STOCK = METHODS.call
    private_constant :METHODS, :STOCK

    # Lines as JSON, for machines: `log_format :json`. The extension writes its own lines like this, with more fields.
    class Json
      # As Logger calls it.
      # @return [String] a line
      def call(severity, time, _progname, message)
        text = message.is_a?(String) ? message : message.inspect
        moment = time.utc.strftime("%Y-%m-%dT%H:%M:%S.%6NZ")
        "#{JSON.generate({ time: moment, level: severity, pid: Process.pid, message: text.scrub })}\n"
      end
    end

    # Has a logger do what the settings say. One with a format of its own keeps that.
    # @param logger [Object] whatever LOGGER is
    # @param settings [Hash] see Settings#to_h
    # @raise [ConfigError] if the logger does not take it
    def self.apply(logger, settings)
      level(logger, settings[:log_level]) if logger.respond_to?(:level=) && logger.respond_to?(:level)
      format(logger, settings[:log_format]) if logger.instance_of?(Logger)
    rescue StandardError => e
      raise ConfigError, "LOGGER does not take log_level or log_format: #{e.message} (#{e.class})"
    end

    # Without a level of the settings, the logger has its own again, unless somebody has set another one meanwhile.
    def self.level(logger, name)
      known, set, own = @level
      own = logger.level unless known.equal?(logger) && set == logger.level
      wanted = name ? Logger.const_get(name.upcase) : own
      logger.level = wanted unless wanted == logger.level
      @level = [logger, wanted, own]
    end

    def self.format(logger, format)
      require "json"
      case logger.formatter
      when nil then logger.formatter = Json.new if format == :json
      when Json then logger.formatter = nil if format == :text
      end
    end
    private_class_method :format, :level

    # @param logger [Object] whatever LOGGER is
    # @return [Array, nil] how the extension may write lines by itself: whether as JSON, and from which severity on
    def plan(logger)
      return unless stock?(logger) && logger.progname.nil? && logger.datetime_format.nil?
      return unless logger.formatter.nil? || logger.formatter.instance_of?(Json)

      [!logger.formatter.nil?, logger.level.clamp(0, 255)]
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
