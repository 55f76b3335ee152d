# frozen_string_literal: true

require_relative "../safe_inspect"

class ProxyMachine
  class Config
    # The options of the verb +upstream+: their defaults, and the readers of their values.
    # @api private
    module UpstreamOptions
      # The largest weight of a server. HAProxy's limit is 256.
      MAX_WEIGHT = 65_535
      # Seconds that a client is held where +:start+ is given.
      DEFAULT_HOLD = 60.0

      # Refuses a value. The error is "NAME takes EXPECTED, not VALUE".
      REFUSE = lambda do |expected, value|
        raise ConfigError, "takes #{expected}, not #{SafeInspect.inspect(value)}"
      end

      # Reads a whole number from +least+. The limit is that of a signed 32-bit integer.
      NUMBER = lambda do |least, expected|
        lambda do |value|
          value.is_a?(Integer) && value.between?(least, 0x7FFF_FFFF) ? value : REFUSE.call(expected, value)
        end
      end

      # Reads a number of seconds; false is none.
      SECONDS = lambda do |least, expected|
        lambda do |value|
          next nil if value == false

          number = value.is_a?(Numeric) && value.real? ? value.to_f : Float::NAN
          next number if number.finite? && (number.positive? || number == least)

          REFUSE.call(expected, value)
        end
      end

      # Reads one of several words, given as a Symbol or a String.
      WORD = lambda do |*words|
        lambda do |value|
          words.find { |word| word.to_s == value.to_s } || REFUSE.call(words.map(&:inspect).join(" or "), value)
        end
      end

      # Reads what +:start+ and +:stop+ call.
      CALLABLE = lambda do |value|
        next value if value.respond_to?(:call) && !(value.respond_to?(:arity) && requires_argument?(value))

        REFUSE.call('something to call without arguments, such as -> { system "systemctl", "start", "game" }', value)
      end

      # Reads the weights of servers, by their addresses.
      WEIGHTS = lambda do |value|
        is_valid = value.is_a?(Hash) && value.all? do |server, weight|
          (server.is_a?(String) || server.is_a?(Symbol)) && weight.is_a?(Integer) && weight.between?(0, MAX_WEIGHT)
        end
        next value.transform_keys(&:to_s) if is_valid

        REFUSE.call("a Hash of servers and whole numbers from 0 to #{MAX_WEIGHT}, such as " \
                    '{ "10.0.0.1:80" => 3 }', value)
      end

      # Reads the version of a PROXY header.
      PROXY_VERSION = lambda do |value|
        next nil if value == false

        [1, 2].include?(value) ? value : REFUSE.call("1 or 2", value)
      end

      # Reads +:remote_tls+: true, a name, or authorities.
      TLS = lambda do |value|
        next nil if value == false
        next value if value == true || (value.is_a?(String) && !value.empty?) || authorities?(value)

        REFUSE.call('true, the name in the certificate such as "db.internal", or authorities(...)', value)
      end

      # An option: its default, and its reader.
      Option = Struct.new(:default, :reader)

      POSITIVE = SECONDS.call(nil, "a number of seconds above 0")
      private_constant :REFUSE, :NUMBER, :SECONDS, :WORD, :CALLABLE, :WEIGHTS, :PROXY_VERSION, :TLS, :POSITIVE

      # By name, in the order of docs/reference.md.
      ALL = {
        balance: Option.new(:least, WORD.call(:least, :ordered)),
        weights: Option.new({}.freeze, WEIGHTS),
        max_connections: Option.new(nil, NUMBER.call(1, "a whole number above 0")),
        queue_timeout: Option.new(0.0, SECONDS.call(0, "a number of seconds (0 is not at all)")),
        max_queue: Option.new(1000, NUMBER.call(0, "a whole number from 0")),
        check: Option.new(nil, POSITIVE),
        check_timeout: Option.new(2.0, POSITIVE),
        rise: Option.new(2, NUMBER.call(1, "a whole number above 0")),
        fall: Option.new(3, NUMBER.call(1, "a whole number above 0")),
        on_down: Option.new(nil, WORD.call(:close)),
        resolve: Option.new(nil, POSITIVE),
        every: Option.new(nil, POSITIVE),
        remote_tls: Option.new(nil, TLS),
        proxy_protocol: Option.new(nil, PROXY_VERSION),
        connect_timeout: Option.new(nil, POSITIVE),
        start: Option.new(nil, CALLABLE),
        stop: Option.new(nil, CALLABLE),
        idle: Option.new(nil, POSITIVE),
        hold: Option.new(nil, SECONDS.call(0, "a number of seconds (0 is not at all)"))
      }.freeze

      class << self
        # Reads options. An option whose value is nil is not given.
        # @param options [Hash]
        # @return [Hash] all options, with the values that the engine takes: seconds are Float
        # @raise [ConfigError] naming the wrong option; the caller puts the upstream's name before the message
        def read(options)
          unknown = options.keys - ALL.keys
          raise ConfigError, "no such option: #{SafeInspect.inspect(unknown.first)} (#{known})" if unknown.any?

          given = options.compact.to_h { |name, value| [name, value(name, value)] }
          all = ALL.transform_values(&:default).merge(given)
          all[:hold] = DEFAULT_HOLD if all[:start] && !given.key?(:hold)
          all
        end

        private

        def value(name, value)
          ALL.fetch(name).reader.call(value)
        rescue ConfigError => e
          raise ConfigError, "#{name.inspect} #{e.message}"
        end

        def known
          "there are #{ALL.keys.map(&:inspect).join(", ")}"
        end

        # A block that is no lambda takes any number of arguments.
        def requires_argument?(callable)
          return false if callable.is_a?(Proc) && !callable.lambda?

          !callable.arity.zero? && callable.arity != -1
        end

        def authorities?(value)
          ProxyMachine.const_defined?(:Authorities, false) && value.is_a?(ProxyMachine.const_get(:Authorities, false))
        end
      end
    end
  end
end
