# frozen_string_literal: true

class ProxyMachine
  # Foreign objects as the log shows them: in UTF-8, cut, and whatever they do when they are asked. A
  # log is no place for secrets or for megabytes.
  # @api private
  module Text
    # Bytes of a String that are shown.
    PAYLOAD = 100
    # Characters of the whole text.
    TOTAL = 1000

    # @param answer [Object] anything at all
    # @return [String] its +inspect+, with long payloads cut
    def self.inspect(answer)
      of("(an object that cannot be inspected)") { shorten(answer).inspect }
    end

    # @return [String] what the block returns, in UTF-8, or +fallback+ if it raises
    def self.of(fallback)
      text = yield.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub
      text.length > TOTAL ? "#{text[0, TOTAL]}..." : text
    rescue Exception => e # rubocop:disable Lint/RescueException
      raise if Handler.ending?(e)

      fallback
    end

    def self.shorten(value)
      case value
      when String then long?(value) ? Cut.new(value) : value
      when Hash then value.any? { |_, item| long?(item) } ? value.transform_values { |item| shorten(item) } : value
      else value
      end
    end

    def self.long?(value)
      String === value && value.bytesize > PAYLOAD # rubocop:disable Style/CaseEquality
    end

    # The beginning of a long String, and its length.
    class Cut
      def initialize(string)
        @string = string
      end

      # @return [String]
      def inspect
        "#{@string.byteslice(0, PAYLOAD).inspect}... (#{@string.bytesize} bytes)"
      end
    end

    private_class_method :shorten, :long?
    private_constant :Cut
  end
end
