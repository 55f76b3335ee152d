# frozen_string_literal: true

require_relative "address"

class ProxyMachine
  # What an operator may set: each one is a verb of the config and a flag of the command line. What the
  # command line says holds.
  #
  #   max_connections 10_000
  #   idle_timeout 3600
  # @api private
  class Settings
    # A whole number above zero; nobody means two thousand millions.
    COUNT = lambda do |value|
      number = Integer(value, exception: false)
      return number if number&.between?(1, 0x7FFF_FFFF) && (value.is_a?(String) || number == value)

      raise ConfigError, "takes a whole number above 0, not #{Text.inspect(value)}"
    end

    # Seconds; 0, nil and false mean "no limit".
    SECONDS = lambda do |value|
      return nil unless value

      number = Float(value, exception: false)
      return number.zero? ? nil : number if number&.finite? && !number.negative?

      raise ConfigError, "takes a number of seconds (0 is no limit), not #{Text.inspect(value)}"
    end

    # "host:port", "unix:/path", or a port alone, which is one of the loopback; nil and false mean "none".
    ADDRESS = lambda do |value|
      return nil unless value

      text = value.to_s.sub(/\A:?(\d+)\z/, '127.0.0.1:\1')
      # An IPv6 address needs its brackets, as the log shows it in a URL.
      return text if Address.unix(text) || (!text.start_with?(":") && Address.tcp(text))

      raise ConfigError, "takes an address such as 127.0.0.1:9432 or unix:/path, not #{Text.inspect(value)}"
    end
    # A path, - for the standard output; nil and false mean "none". Relative to where the program was started.
    FILE = lambda do |value|
      return value == "-" ? value : File.expand_path(value) if value.is_a?(String) && !value.empty?
      return nil unless value

      raise ConfigError, "takes the path of a file, or - for the standard output, not #{Text.inspect(value)}"
    end

    # One of several words, as a Symbol or a String.
    WORD = lambda do |*words|
      lambda do |value|
        return nil if value.nil?

        words.find { |word| word.to_s == value.to_s } ||
          raise(ConfigError, "takes one of #{words.join(", ")}, not #{Text.inspect(value)}")
      end
    end
    private_constant :COUNT, :SECONDS, :ADDRESS, :FILE, :WORD

    # One of them: its default, what its flag's value is called, how values are read, and what it does.
    Setting = Struct.new(:default, :placeholder, :reader, :description)

    # By name, in the order of --help.
    ALL = {
      threads: Setting.new(1, "N", COUNT, "Ruby threads that answer, so many at once. Default 1"),
      max_connections: Setting.new(nil, "N", COUNT, "Client connections at once. Default from the descriptor limit"),
      max_preread: Setting.new(1_048_576, "BYTES", COUNT, "What a client may send before the decision. Default 1 MiB"),
      decision_timeout: Setting.new(nil, "SECONDS", SECONDS, "Time until the decision, from accept. Default none"),
      idle_timeout: Setting.new(nil, "SECONDS", SECONDS, "Time without traffic in any direction. Default none"),
      half_closed_timeout: Setting.new(60.0, "SECONDS", SECONDS,
                                       "Time without traffic after one side has ended. Default 60"),
      keepalive: Setting.new(60.0, "SECONDS", SECONDS, "Silence until a peer is probed by TCP. Default 60"),
      user_timeout: Setting.new(600.0, "SECONDS", SECONDS,
                                "Time that a peer may leave data unacknowledged. Default 600"),
      slow_block: Setting.new(1.0, "SECONDS", SECONDS, "Blocks that take longer are named in the log. Default 1"),
      upgrade_timeout: Setting.new(nil, "SECONDS", SECONDS, "Time for open connections after an upgrade. Default none"),
      access_log: Setting.new(nil, "FILE", FILE, "A line for each connection that ended; - is stdout. Default none"),
      log_format: Setting.new(:text, "FORMAT", WORD.call(:text, :json), "How lines are written: text or json"),
      log_level: Setting.new(nil, "LEVEL", WORD.call(:debug, :info, :warn, :error),
                             "What is logged: debug, info, warn or error. Default LOGGER's own"),
      admin: Setting.new(nil, "ADDRESS", ADDRESS, "Show metrics and a status page there: 127.0.0.1:9432, unix:/path")
    }.freeze

    def initialize(overriding = {})
      @given = {}
      @overriding = overriding
    end

    # What the command line says, without the config.
    def blank
      Settings.new(@overriding)
    end

    # @param value [Object] what the config says
    # @raise [ConfigError] if it is no value for this setting
    def set(name, value)
      @given[name] = read(name, value)
    end

    # The same for the command line, which the config does not change.
    def override(name, value)
      @overriding[name] = read(name, value)
    end

    # @return [Hash] all settings: seconds are Float, "no limit" is nil
    def to_h
      ALL.transform_values(&:default).merge(@given, @overriding)
    end

    private

    def read(name, value)
      ALL.fetch(name).reader.call(value)
    rescue ConfigError => e
      raise ConfigError, "#{name} #{e.message}"
    end
  end
end
