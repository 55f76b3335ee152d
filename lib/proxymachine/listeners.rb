# frozen_string_literal: true

require "etc"

class ProxyMachine
  # Where the server listens, as the engine wants to know it.
  class Listeners
    # The options of a listener.
    OPTIONS = %i[name proxy_protocol mode user group].freeze
    private_constant :OPTIONS

    # Where it listens if nobody says otherwise.
    DEFAULT = [{ address: "0.0.0.0:5432" }].freeze

    # @param default [Array<Hash>] where to listen if nothing is added
    # @param fixed [Array<Hash>] what the command line says
    def initialize(default = DEFAULT, fixed = [])
      @default = default
      @fixed = fixed
      @all = []
    end

    # What the command line says, without the config.
    def blank
      Listeners.new(@default, @fixed)
    end

    # What systemd has opened is where to listen, if nobody says otherwise.
    # @param addresses [Array<String>] "systemd:NAME"
    def offer(addresses)
      return if addresses.empty?

      @default = addresses.map { |address| { address: address, name: address.delete_prefix("systemd:") } }
    end

    # Listens there before all others, and whatever the config says.
    # @param address [String]
    def fix(address)
      @fixed += [{ address: address }]
    end

    # @param address [String] "host:port", "unix:/path" or "unix:@name"
    # @param options [Hash] +:name+ (Symbol), +:proxy_protocol+ (networks of the load balancers that send a
    #   PROXY header), and for the file of a Unix socket +:mode+ (Integer), +:user+, +:group+ (names or ids)
    # @raise [ConfigError] naming what is wrong
    def add(address, options = {})
      unknown = options.keys - OPTIONS
      raise ConfigError, "listen #{address.inspect}: no such option: #{unknown.first.inspect}" if unknown.any?

      @all << {
        address: address.to_s, name: options[:name]&.to_s, balancers: networks(options[:proxy_protocol]),
        mode: mode(options[:mode]), user: id(options[:user], Etc.method(:getpwnam), :uid),
        group: id(options[:group], Etc.method(:getgrnam), :gid)
      }.compact
    end

    # @param first [String, nil] "host:port" to listen on before all others
    # @return [Array<Hash>] what the engine is given
    def to_a(first = nil)
      all = [first && { address: first }, *@fixed, *@all].compact
      all.empty? ? @default : all
    end

    private

    def networks(value)
      return unless value
      raise ConfigError, "listen: :proxy_protocol takes the networks that are trusted, such as [\"10.0.0.0/8\"]" \
        unless value == [*value] && value.any? && value.all?(String)

      value
    end

    def mode(value)
      return value if value.nil? || (value.is_a?(Integer) && value.between?(0, 0o777))

      raise ConfigError, "listen: :mode takes a number such as 0660, not #{Text.inspect(value)}"
    end

    def id(name, find, field)
      return name if name.nil? || name.is_a?(Integer)

      find.call(name.to_s).public_send(field)
    rescue ArgumentError
      raise ConfigError, "listen: there is no #{field == :uid ? "user" : "group"} #{name.inspect}"
    end
  end
end
