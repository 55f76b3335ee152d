# frozen_string_literal: true

class ProxyMachine
  # An answer as the log shows it: +inspect+, with payloads cut, since a log is no place for secrets
  # or for megabytes.
  module AnswerText
    # Bytes of a String that are shown.
    PAYLOAD = 100
    # Characters of the whole text.
    TOTAL = 1000

    # @param answer [Object] anything at all
    # @return [String] one line
    def self.of(answer)
      text = shorten(answer).inspect
      text.length > TOTAL ? "#{text[0, TOTAL]}..." : text
    rescue *Handler::ENDING
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException
      "#<an object whose inspect raised #{e.class}>"
    end

    def self.shorten(value)
      case value
      when String then value.bytesize > PAYLOAD ? Cut.new(value) : value
      when Hash then value.any? { |_, item| long?(item) } ? value.transform_values { |item| shorten(item) } : value
      else value
      end
    end

    def self.long?(value)
      value.is_a?(String) && value.bytesize > PAYLOAD
    end

    # The beginning of a long String, and its length.
    class Cut
      def initialize(string)
        @string = string
      end

      def inspect
        "#{@string.byteslice(0, PAYLOAD).inspect}... (#{@string.bytesize} bytes)"
      end
    end

    private_class_method :shorten, :long?
    private_constant :Cut
  end
end
