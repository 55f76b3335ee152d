# frozen_string_literal: true

require_relative "../client"
require_relative "tls"

class ProxyMachine
  module Testing
    # A client that exists in a test only. It says what a client of the server says.
    # @api private
    class Client < ProxyMachine::Client
      # @param name [Symbol, nil] the listener's
      # @param about [Array] see ProxyMachine::Client
      # @param tls [TLS, nil]
      def initialize(name, about, tls)
        super(name, about)
        @tls = tls
      end
    end

    # What a test says about a client. It makes a new Client for each call of a block, as the server does.
    # @api private
    class ClientProperties
      # The port of a client of which the test says none: the first of the ephemeral ports (RFC 6335, section 6).
      PORT = 49_152
      private_constant :PORT

      # @return [Symbol, nil] the name of the client's listener
      attr_reader :listener

      # @param config [Config]
      # @param listener [Symbol, String, nil] name or address of the listener; nil for the one that has no name, or for
      #   the only one
      # @raise [ArgumentError] if the config has no such listener, or if a client has no such property
      def initialize(config, listener: nil, tls: nil, **rest)
        @listener, address, begins_with_tls = find(config, listener)
        host, port = Config::Address.tcp(address)
        defaults = { ip: host && "127.0.0.1", port: host && PORT, local_ip: host && local_ip(host), local_port: port,
                     tlvs: [], age: 0.0, connections: host && 1 }
        unknown = rest.keys - defaults.keys
        raise ArgumentError, "a client has no #{unknown.first.inspect}" if unknown.any?

        ip, port, local_ip, local_port, tlvs, age, connections = defaults.merge(rest).values
        @about = [ip, port, local_ip, local_port, address, tlvs.to_a, age, connections].freeze
        @tls = TLS.from(tls || begins_with_tls)
      end

      # @return [Client]
      def client
        Client.new(@listener, @about, @tls)
      end

      # Whether the client speaks TLS.
      # @return [Boolean]
      def tls?
        !@tls.nil?
      end

      private

      # Returns name and address of a listener, and whether its connections begin with TLS.
      def find(config, wanted)
        listeners = config.listeners.to_a.map do |listener|
          [listener[:name]&.to_sym, listener[:address], !listener[:tls].nil?]
        end
        wanted ? named(listeners, wanted) : unnamed(listeners)
      end

      def unnamed(listeners)
        listeners.find { |name, _| name.nil? || listeners.one? } || [nil, NO_ADDRESS]
      end

      def named(listeners, wanted)
        found = listeners.find { |name, address| [name.to_s, address].include?(wanted.to_s) }
        return found if found
        # The config does not know the listeners of systemd and of the command line.
        return [wanted.to_sym, NO_ADDRESS] if listeners.none?(&:first)

        known = listeners.map { |name, address| (name || address).inspect }
        raise ArgumentError, "no listener #{wanted.inspect}: the config has #{known.join(", ")}"
      end

      NO_ADDRESS = "0.0.0.0:0"
      private_constant :NO_ADDRESS

      def local_ip(host)
        %w[0.0.0.0 :: *].include?(host) ? "127.0.0.1" : host
      end
    end
  end
end
