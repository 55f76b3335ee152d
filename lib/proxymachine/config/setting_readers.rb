# frozen_string_literal: true

require_relative "../safe_inspect"
require_relative "address"

class ProxyMachine
  class Config
    # The readers of settings. Each has +call+, which returns the value as the engine takes it, or raises a ConfigError.
    # @api private
    module SettingReaders
      # Reads a whole number above 0. The limit is that of a signed 32-bit integer.
      COUNT = lambda do |value|
        number = Integer(value, exception: false)
        return number if number&.between?(1, 0x7FFF_FFFF) && (value.is_a?(String) || number == value)

        range = number && number > 0x7FFF_FFFF ? "up to 2147483647" : "above 0"
        raise ConfigError, "takes a whole number #{range}, not #{SafeInspect.inspect(value)}"
      end

      # Reads a whole number above 0. nil and false mean "no limit".
      LIMIT = ->(value) { value ? COUNT.call(value) : nil }

      # Reads a number of seconds. 0, nil and false mean "no limit".
      SECONDS = lambda do |value|
        return nil unless value

        number = Float(value, exception: false)
        return number.zero? ? nil : number if number&.finite? && !number.negative?

        raise ConfigError, "takes a number of seconds (0 is no limit), not #{SafeInspect.inspect(value)}"
      end

      # Reads text in UTF-8, which the engine takes.
      UTF8 = lambda do |what, value|
        text = SafeInspect.utf8(value)
        return text if text.valid_encoding?

        raise ConfigError, "takes #{what} in UTF-8, not #{SafeInspect.inspect(value)}"
      end

      # Reads "host:port" or "unix:/path"; a port alone is one of the loopback address. nil and false mean "none".
      ADDRESS = lambda do |value|
        return nil unless value

        text = UTF8.call("an address", value.to_s).sub(/\A:?(\d+)\z/, '127.0.0.1:\1')
        # An IPv6 address needs brackets, because the log shows the address in a URL.
        return text if Address.unix(text) || (!text.start_with?(":") && Address.tcp(text))

        raise ConfigError, "takes an address such as 127.0.0.1:9432 or unix:/path, not #{SafeInspect.inspect(value)}"
      end

      # Reads a path, relative to the working directory at the start; "-" is standard output. nil and false mean "none".
      FILE = lambda do |value|
        return nil unless value
        return value if value == "-"
        return UTF8.call("a path", File.expand_path(value)) if value.is_a?(String) && !value.empty?

        raise ConfigError, "takes the path of a file, or - for standard output, not #{SafeInspect.inspect(value)}"
      end

      # Reads the path of a file that is written, relative to the working directory at the start. nil and false mean
      # "none".
      PATH = ->(value) { value == "-" ? raise(ConfigError, 'takes the path of a file, not "-"') : FILE.call(value) }

      # Reads a path, relative to the working directory at the start. nil and false mean "none".
      DIRECTORY = lambda do |value|
        return nil unless value
        return UTF8.call("a path", File.expand_path(value)) if value.is_a?(String) && !value.empty?

        raise ConfigError, "takes the path of a directory, not #{SafeInspect.inspect(value)}"
      end

      # Reads true or false. A flag without an argument means true.
      BOOLEAN = lambda do |value|
        return value if [true, false].include?(value)

        raise ConfigError, "takes true or false, not #{SafeInspect.inspect(value)}"
      end

      # Reads one of several words, given as a Symbol or a String.
      Word = Struct.new(:words) do
        # @return [Symbol, nil] the word
        def call(value)
          return nil if value.nil?

          words.find { |word| word.to_s == value.to_s } ||
            raise(ConfigError, "takes one of #{words.join(", ")}, not #{SafeInspect.inspect(value)}")
        end
      end

      # Returns the reader of these words.
      WORD = ->(*words) { Word.new(words) }

      # Reads networks and addresses, in an Array or separated by commas. nil and false mean "none".
      NETWORKS = lambda do |value|
        texts = [value || []].flatten
        networks = texts.flat_map { |text| text.is_a?(String) ? UTF8.call("networks", text).split(",", -1) : [text] }
        require_relative "../extension"
        wrong = networks.reject { |network| network.is_a?(String) && Engine.network?(network) }
        return networks.map(&:strip) if wrong.empty?

        raise ConfigError, "takes networks such as \"10.0.0.0/8\", not #{SafeInspect.inspect(wrong.first)}"
      end
    end
  end
end
