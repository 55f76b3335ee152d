# frozen_string_literal: true

require "logger"
require_relative "../errors"
require_relative "json_formatter"

class ProxyMachine
  module Log
    # Applies +log_level+ and +log_format+ to LOGGER, and recognizes a LOGGER whose lines the extension may format by
    # itself, which is much faster: a plain Logger that neither the config nor a library has changed.
    # @api private
    class Format
      # The methods of Logger that make and write a line.
      METHODS = lambda do
        %i[info warn error add << format_message].map { |name| Logger.instance_method(name) } +
          [Logger::Formatter.instance_method(:call)]
      end

      # These methods before the config was loaded.
      ORIGINAL_METHODS = METHODS.call
      private_constant :METHODS, :ORIGINAL_METHODS

      # Applies the settings to a logger. A logger with a format of its own keeps it.
      # @param logger [Object] the value of LOGGER
      # @param settings [Hash] see Config::Settings#to_h
      # @raise [ConfigError] if the logger does not take them
      def self.apply(logger, settings)
        apply_level(logger, settings[:log_level]) if logger.respond_to?(:level=) && logger.respond_to?(:level)
        apply_format(logger, settings[:log_format]) if logger.instance_of?(Logger)
      rescue StandardError => e
        raise ConfigError, "LOGGER does not take log_level or log_format: #{SafeInspect.message(e)} (#{e.class})"
      end

      # Without the setting, the logger's own level is restored, unless the config has set another level meanwhile.
      def self.apply_level(logger, name)
        known, set, own = @level
        own = logger.level unless known.equal?(logger) && set == logger.level
        level = name ? Logger.const_get(name.upcase) : own
        logger.level = level unless level == logger.level
        @level = [logger, level, own]
      end

      def self.apply_format(logger, format)
        case logger.formatter
        when nil then logger.formatter = JsonFormatter.new if format == :json
        when JsonFormatter then logger.formatter = nil if format == :text
        end
      end
      private_class_method :apply_format, :apply_level

      # Formats lines as a plain Logger does. Lines below its level, or whose formatter raises, are left out.
      # @param logger [Logger] a plain one
      # @param lines [Array] of levels (+:info+, +:warn+, +:error+) and texts
      # @return [String]
      def self.lines(logger, lines)
        lines.map { |level, text| line(logger, level.to_s.upcase, text) }.join
      end

      def self.line(logger, level, text)
        return "" if Logger.const_get(level) < logger.level

        logger.send(:format_message, level, Time.now, logger.progname, text).to_s
      rescue StandardError, ScriptError
        Engine.count_dropped_lines(1)
        ""
      end
      private_class_method :line

      # @param logger [Object] the value of LOGGER
      # @return [Array(Boolean, Integer), nil] whether the extension formats lines as JSON, and from which severity on;
      #   nil if it must leave the lines to the logger
      def plan(logger)
        return unless plain?(logger) && logger.progname.nil? && logger.datetime_format.nil?
        return unless logger.formatter.nil? || logger.formatter.instance_of?(JsonFormatter)

        [!logger.formatter.nil?, logger.level.clamp(0, 255)]
      end

      # Has #plain? examine the next logger, even if it is the one that it knows: its methods may have been replaced.
      def forget
        @examined = nil
      end

      # Whether a logger is a plain Logger, whose lines can be formatted and written without it. The methods are
      # compared once a second, because that is slow.
      def plain?(logger)
        examined, is_plain = @examined # One assignment: several threads write to the log.
        return is_plain if examined.equal?(logger) && !is_plain.nil?

        is_plain = examine(logger)
        @examined = [logger, is_plain]
        is_plain
      end

      private

      def examine(logger)
        Logger.instance_method(:class).bind_call(logger) == Logger &&
          logger.singleton_methods.empty? && METHODS.call == ORIGINAL_METHODS
      rescue TypeError # A BasicObject.
        false
      end
    end
  end
end
