# frozen_string_literal: true

require_relative "../safe_inspect"
require_relative "setting_readers"

class ProxyMachine
  class Config
    # The settings. Each is a verb of the config and a flag of the command line; the flag overrides the verb.
    #
    #   max_connections 10_000
    #   idle_timeout 3600
    # @api private
    class Settings
      include SettingReaders

      # A setting: its default, the placeholder for its value in --help, its reader, and its description in --help. An
      # Array as the default marks a verb that takes any number of values.
      Setting = Struct.new(:default, :placeholder, :reader, :description)

      # By name, in the order of --help.
      ALL = {
        threads: Setting.new(1, "N", COUNT, "Number of Ruby threads that call the block. Default 1"),
        max_connections: Setting.new(nil, "N", COUNT,
                                     "Limit of client connections. Default from the descriptor limit"),
        max_connections_per_source: Setting.new(nil, "N", LIMIT,
                                                "Limit of connections from one IPv4 address or IPv6 /64. Default none"),
        connection_rate_per_source: Setting.new(nil, "N", LIMIT,
                                                "Limit of new connections a second from one of them. Default none"),
        exempt_sources: Setting.new([].freeze, "NETWORKS", NETWORKS,
                                    "Networks without these two limits, separated by commas. Default none"),
        max_preread: Setting.new(1_048_576, "BYTES", COUNT,
                                 "Limit of bytes from a client before the decision. Default 1 MiB"),
        decision_timeout: Setting.new(nil, "SECONDS", SECONDS, "Time from accept to the decision. Default none"),
        tls_handshake_timeout: Setting.new(10.0, "SECONDS", SECONDS,
                                           "Time of a client's TLS handshake. Default 10"),
        idle_timeout: Setting.new(nil, "SECONDS", SECONDS, "Time without traffic in either direction. Default none"),
        half_closed_timeout: Setting.new(60.0, "SECONDS", SECONDS,
                                         "Time without traffic after one side has ended. Default 60"),
        keepalive: Setting.new(60.0, "SECONDS", SECONDS, "Idle time before TCP keepalive probes. Default 60"),
        user_timeout: Setting.new(600.0, "SECONDS", SECONDS,
                                  "Time that sent data may stay unacknowledged. Default 600"),
        slow_block: Setting.new(1.0, "SECONDS", SECONDS, "Log blocks that take longer than this. Default 1"),
        upgrade_timeout: Setting.new(nil, "SECONDS", SECONDS,
                                     "Time for open connections to end after an upgrade. Default none"),
        access_log: Setting.new(nil, "FILE", FILE,
                                "Write a line per connection that ends; - is stdout. Default none"),
        record: Setting.new(nil, "DIR", DIRECTORY,
                            "Keep the first bytes of clients that get no server, as files. Default none"),
        dontlognull: Setting.new(false, nil, BOOLEAN,
                                 "Do not log clients that leave without having sent a byte. Default no"),
        log_format: Setting.new(:text, "FORMAT", WORD.call(:text, :json),
                                "Format of log lines: text or json. Default text"),
        log_connection_id: Setting.new(false, nil, BOOLEAN,
                                       "End text lines with the connection's id and its client. Default no"),
        log_level: Setting.new(nil, "LEVEL", WORD.call(:debug, :info, :warn, :error),
                               "Lowest level logged: debug, info, warn or error. Default LOGGER's own"),
        tls_key_log: Setting.new(nil, "FILE", PATH, "Append the keys of TLS connections. Default none"),
        admin: Setting.new(nil, "ADDRESS", ADDRESS,
                           "Address of metrics and status page: 127.0.0.1:9432, unix:/path. Default none")
      }.freeze

      # @param fixed [Hash] the settings of the command line
      def initialize(fixed = {})
        @given = {}
        @fixed = fixed
      end

      # Returns the settings of the command line, without those of the config.
      # @return [Settings]
      def command_line_only
        Settings.new(@fixed)
      end

      # Sets what the config says.
      # @param name [Symbol]
      # @param value [Object]
      # @raise [ConfigError] if the setting does not take that value
      def set(name, value)
        @given[name] = read(name, value)
      end

      # Sets what the command line says, which overrides the config.
      # @raise [ConfigError] if the setting does not take that value
      def override(name, value)
        @fixed[name] = read(name, value)
      end

      # @return [Hash] all settings: seconds are Float, "no limit" is nil
      def to_h
        ALL.transform_values(&:default).merge(@given, @fixed)
      end

      private

      def read(name, value)
        ALL.fetch(name).reader.call(value)
      rescue ConfigError => e
        raise ConfigError, "#{name} #{e.message}"
      rescue ArgumentError, EncodingError, SystemCallError => e # Bytes that are not text, or not a path.
        raise ConfigError, "#{name} does not take #{SafeInspect.inspect(value)}: #{SafeInspect.text("") { e.message }}"
      end
    end
  end
end
