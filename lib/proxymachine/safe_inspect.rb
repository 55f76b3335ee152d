# frozen_string_literal: true

require_relative "errors"

class ProxyMachine
  # Describes objects of a config for the log and for error messages: in UTF-8, cut to a sane length, and safe against
  # objects that raise when they are asked. A log must hold neither secrets nor megabytes.
  # @api private
  module SafeInspect
    # What to do when the system refuses more of something.
    CURES = {
      Errno::EAGAIN => "raise the limit of processes and threads (ulimit -u, TasksMax=)",
      Errno::EMFILE => "raise the limit of descriptors (ulimit -n, LimitNOFILE=)",
      Errno::ENFILE => "raise the system's limit of open files (sysctl fs.file-max)",
      Errno::ENOMEM => "raise the limit of memory (ulimit -v, MemoryMax=)"
    }.freeze
    # Bytes of a String that are shown.
    STRING_LIMIT = 100
    # Characters of the whole description.
    TOTAL_LIMIT = 1000
    private_constant :CURES, :STRING_LIMIT, :TOTAL_LIMIT

    # @param object [Object] any object
    # @return [String] its +inspect+, with long Strings cut
    def self.inspect(object)
      text("(an object that cannot be inspected)") { shorten(object).inspect }
    end

    # Returns a text in UTF-8. Bytes of no encoding, of the locale C and of encodings that Ruby cannot convert, such as
    # UTF-7, are taken for UTF-8, as file names are.
    # @param text [String] of any encoding
    # @return [String] in UTF-8, but perhaps invalid
    def self.utf8(text)
      return text if text.encoding == Encoding::UTF_8
      return text.dup.force_encoding(Encoding::UTF_8) if [Encoding::BINARY, Encoding::US_ASCII].include?(text.encoding)

      text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
    rescue Encoding::ConverterNotFoundError
      text.dup.force_encoding(Encoding::UTF_8)
    end

    # @param exception [Exception]
    # @return [String] the first line of its message that is not empty, in UTF-8
    def self.message(exception)
      text("(no message)") { utf8(exception.message.to_s).scrub.strip.lines.first.to_s.chomp }
    end

    # Returns why the system or the config prevents a start, a reload or an upgrade.
    # @param exception [Exception]
    # @return [String] its message, without the name of a C function of Ruby, and the limit to raise if one was reached
    def self.failure(exception)
      reason = message(exception)
      reason = reason.sub(/ @ \w+(?= - |\z)/, "") if exception.is_a?(SystemCallError)
      is_refused_thread = exception.is_a?(ThreadError) && reason.include?("create Thread")
      [reason, *CURES[is_refused_thread ? Errno::EAGAIN : exception.class]].join(": ")
    end

    # Changes the arguments of the command line to UTF-8. Other bytes become binary: OptionParser matches regular
    # expressions, which take no invalid text.
    # @param arguments [Array<String>]
    def self.arguments!(arguments)
      arguments.map! { |argument| (text = utf8(argument)).valid_encoding? ? text : text.b }
    end

    # @param entry [String, nil] an entry of a backtrace
    # @return [String] its "file:line"
    def self.place(entry)
      utf8(entry.to_s.b[/\A.*?:\d+/mn].to_s).scrub
    end

    # @return [String] the block's value, in UTF-8; +fallback+ if the block raises
    def self.text(fallback)
      value = utf8(yield.to_s).scrub
      value.length > TOTAL_LIMIT ? "#{value[0, TOTAL_LIMIT]}..." : value
    rescue Exception => e # rubocop:disable Lint/RescueException
      raise if Fatal === e # rubocop:disable Style/CaseEquality

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
      String === value && value.bytesize > STRING_LIMIT # rubocop:disable Style/CaseEquality
    end

    # Inspects as the beginning of a long String, and its length.
    class Cut
      def initialize(string)
        @string = string
      end

      # @return [String]
      def inspect
        "#{@string.byteslice(0, STRING_LIMIT).inspect}... (#{@string.bytesize} bytes)"
      end
    end

    private_class_method :shorten, :long?
    private_constant :Cut
  end
end
