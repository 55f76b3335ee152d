# frozen_string_literal: true

require "etc"
require_relative "../safe_inspect"
require_relative "address"

class ProxyMachine
  class Config
    # The listeners of a configuration, in the form that the engine takes.
    # @api private
    class Listeners
      OPTIONS = %i[name proxy_protocol tls mode user group].freeze
      # Options for the file of a Unix socket.
      FILE_OPTIONS = %i[mode user group].freeze
      # The listener of a configuration that names none.
      DEFAULT = [{ address: "0.0.0.0:5432" }].freeze
      private_constant :OPTIONS, :FILE_OPTIONS

      # Returns the addresses of bound sockets. Port 0 is replaced by the port that the system chose.
      # @param sockets [Array] [[descriptor, address, port]]
      # @return [Array<String>]
      def self.addresses(sockets)
        sockets.uniq { |_, address, port| [address, port] }.map do |_, address, port|
          port ? address.sub(/:\d+\z/, ":#{port}") : address
        end
      end

      # @param value [Symbol, String] the name of a listener
      # @param what [String] what has the name
      # @return [Symbol]
      # @raise [ConfigError] if +value+ cannot be a name
      def self.name(value, what = "a listener")
        if value.is_a?(Symbol) || (value.is_a?(String) && !value.empty?)
          text = SafeInspect.utf8(value.to_s)
          return text.to_sym if text.valid_encoding?
        end

        raise ConfigError, "the name of #{what} is a Symbol such as :local, not #{SafeInspect.inspect(value)}"
      end

      # @param default [Array<Hash>] the listeners if none is added
      # @param fixed [Array<Hash>] the listeners of the command line
      def initialize(default = DEFAULT, fixed = [])
        @default = default
        @fixed = fixed
        @added = []
      end

      # Returns the listeners of the command line, without those of the config.
      # @return [Listeners]
      def command_line_only
        Listeners.new(@default, @fixed)
      end

      # Makes the sockets that systemd has opened the default listeners.
      # @param inherited [Array] [[descriptor, address]], of which those named "systemd:NAME" count
      def default_to_systemd(inherited)
        addresses = inherited.map(&:last).grep(/\Asystemd:/).uniq
        return if addresses.empty?

        @default = addresses.map { |address| { address: address, name: address.delete_prefix("systemd:") } }
      end

      # Adds a listener of the command line. These come first, and a reload keeps them.
      # @param address [String]
      def add_fixed(address)
        @fixed += [{ address: Address.text(address) }]
      end

      # Adds a listener of the config.
      # @param address [String] "host:port", "unix:/path" or "unix:@name"
      # @param options [Hash] +:name+ (Symbol), +:proxy_protocol+ (networks of the load balancers that send a PROXY
      #   header), +:tls+ (Certificates: each connection begins with a handshake), and for the file of a Unix socket
      #   +:mode+ (Integer), +:user+, +:group+ (names or ids)
      # @raise [ConfigError] naming the wrong option
      def add(address, options = {})
        address = check(address, options)
        @added << {
          address: address, name: options[:name] && Listeners.name(options[:name]).to_s,
          trusted_proxies: networks(options[:proxy_protocol]), tls: certificates(options[:tls]),
          mode: mode(options[:mode]),
          user: id(options[:user], Etc.method(:getpwnam), :uid),
          group: id(options[:group], Etc.method(:getgrnam), :gid)
        }.compact
      end

      # @param first [String, nil] "host:port" of one more listener, before all others
      # @return [Array<Hash>] the form that the engine takes
      def to_a(first = nil)
        all = [first && { address: first }, *@fixed, *@added].compact
        all.empty? ? @default : all
      end

      private

      def check(address, options)
        verb = "listen #{SafeInspect.inspect(address)}"
        raise ConfigError, "#{verb}: options are keys and values, not #{SafeInspect.inspect(options)}" \
          unless options.is_a?(Hash)

        unknown = options.keys - OPTIONS
        raise ConfigError, "#{verb}: no such option: #{SafeInspect.inspect(unknown.first)}" if unknown.any?

        text = Address.text(address)
        misplaced = text.start_with?("unix:/") ? nil : FILE_OPTIONS.find { |option| options[option] }
        raise ConfigError, "#{verb}: #{misplaced.inspect} is for the file of a Unix socket" if misplaced

        text
      end

      def networks(value)
        return unless value
        raise ConfigError, "listen: :proxy_protocol takes the networks that are trusted, such as [\"10.0.0.0/8\"]" \
          unless value == [*value] && value.any? && value.all?(String)

        value
      end

      def certificates(value)
        return value if value.nil? || value.is_a?(Certificates)

        raise ConfigError, "listen: :tls takes what certificates(…) returns, not #{SafeInspect.inspect(value)}"
      end

      def mode(value)
        return value if value.nil? || (value.is_a?(Integer) && value.between?(0, 0o777))

        raise ConfigError, "listen: :mode takes a number such as 0660, not #{SafeInspect.inspect(value)}"
      end

      # Returns the id of a user or a group, which may be given by name or by id.
      def id(name, find, field)
        return name if name.nil? || (name.is_a?(Integer) && name.between?(0, 0xFFFF_FFFE))

        find.call(name.to_s).public_send(field)
      rescue ArgumentError
        raise ConfigError, "listen: there is no #{field == :uid ? "user" : "group"} #{SafeInspect.inspect(name)}"
      end
    end
  end
end
