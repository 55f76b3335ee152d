# frozen_string_literal: true

require "etc"

class ProxyMachine
  # Where the server listens, as the engine wants to know it.
  # @api private
  class Listeners
    # The options of a listener.
    OPTIONS = %i[name proxy_protocol mode user group].freeze
    # Those that say what its file is like.
    OF_FILES = %i[mode user group].freeze
    private_constant :OPTIONS, :OF_FILES

    # Where it listens if nobody says otherwise.
    DEFAULT = [{ address: "0.0.0.0:5432" }].freeze

    # @param default [Array<Hash>] where to listen if nothing is added
    # @param fixed [Array<Hash>] what the command line says
    def initialize(default = DEFAULT, fixed = [])
      @default = default
      @fixed = fixed
      @all = []
    end

    # What sockets listen on, with the ports that were taken where 0 was asked for.
    # @param sockets [Array] [[descriptor, address, port]]
    # @return [Array<String>]
    def self.addresses(sockets)
      sockets.uniq { |_, address, port| [address, port] }.map do |_, address, port|
        port ? address.sub(/:\d+\z/, ":#{port}") : address
      end
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

    # @param value [Symbol, String] what the config calls a listener
    # @return [Symbol]
    # @raise [ConfigError] if that is no name
    def self.name(value)
      return value.to_sym if value.is_a?(Symbol) || (value.is_a?(String) && !value.empty?)

      raise ConfigError, "the name of a listener is a Symbol such as :local, not #{Text.inspect(value)}"
    end

    # @param address [String] "host:port", "unix:/path" or "unix:@name"
    # @param options [Hash] +:name+ (Symbol), +:proxy_protocol+ (networks of the load balancers that send a
    #   PROXY header), and for the file of a Unix socket +:mode+ (Integer), +:user+, +:group+ (names or ids)
    # @raise [ConfigError] naming what is wrong
    def add(address, options = {})
      check(address, options)
      @all << {
        address: address.to_s, name: options[:name] && Listeners.name(options[:name]).to_s,
        balancers: networks(options[:proxy_protocol]), mode: mode(options[:mode]),
        user: id(options[:user], Etc.method(:getpwnam), :uid),
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

    def check(address, options)
      said = "listen #{Text.inspect(address)}"
      raise ConfigError, "#{said}: options are keys and values, not #{Text.inspect(options)}" unless options.is_a?(Hash)

      unknown = options.keys - OPTIONS
      raise ConfigError, "#{said}: no such option: #{Text.inspect(unknown.first)}" if unknown.any?

      lost = address.to_s.start_with?("unix:/") ? nil : OF_FILES.find { |option| options[option] }
      raise ConfigError, "#{said}: #{lost.inspect} is for the file of a Unix socket" if lost
    end

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

    # Of a user or a group, by name or by number.
    def id(name, find, field)
      return name if name.nil? || (name.is_a?(Integer) && name.between?(0, 0xFFFF_FFFE))

      find.call(name.to_s).public_send(field)
    rescue ArgumentError
      raise ConfigError, "listen: there is no #{field == :uid ? "user" : "group"} #{Text.inspect(name)}"
    end
  end
end
