# frozen_string_literal: true

require_relative "current_config"
require_relative "cuts"
require_relative "questioning"

class ProxyMachine
  module Testing
    # A loaded config, which can be asked where a client would be connected.
    class Router
      # @return [String] the path of the config file
      attr_reader :path

      # @param path [String]
      # @param config [Config]
      # @param scope [Module] has the constants of the config
      # @api private
      def initialize(path, config, scope)
        @path = path
        @config = config
        @scope = scope
      end

      # Asks the config's blocks as the server would if a client sent these bytes in one piece: first +proxy_accept+, if
      # the config has it, then +proxy+.
      #
      #   router.decide("GET / HTTP/1.1\r\n", :ip => "192.0.2.1", :listener => :web).remote # => "10.0.0.1:80"
      #
      # @param bytes [String] what the client sends; the empty String stands for a client that sends nothing
      # @param client [Hash] what +client+ says in the block: +:ip+, +:port+, +:local_ip+, +:local_port+, +:listener+ (a
      #   name or an address), +:tls+ (a Hash of +:sni+, +:alpn+ and their like), +:tlvs+, +:age+, +:connections+
      # @return [Decision]
      # @raise [ArgumentError] if a client has no such property, or the config no such listener
      def decide(bytes, **client)
        ask(bytes, client, &:decide)
      end

      # Asks for each way of cutting the bytes in two, and for the bytes one by one, each time as another client.
      #
      #   router.cuts("GET / HTTP/1.1\r\n").map(&:cut) # => [4, 5], if the router decides as soon as it has "GET "
      #
      # @param bytes [String] what the client sends
      # @param client [Hash] see {#decide}
      # @return [Array<Decision>] those that differ from the decision for the whole, each with its {Decision#cut}; empty
      #   if the router is sound
      # @raise [ArgumentError] see {#decide}
      def cuts(bytes, **client)
        compare(bytes, client).differing
      end

      # @param bytes [String]
      # @param client [Hash]
      # @return [Cuts]
      # @api private
      def compare(bytes, client)
        ask(bytes, client) { |questioning| Cuts.new(questioning) }
      end

      # @return [String] the path of the config
      def inspect
        "#<ProxyMachine::Testing::Router #{path}>"
      end

      private

      def ask(bytes, client)
        CurrentConfig.with(@config, @scope) { yield Questioning.new(@config, bytes, **client) }
      end
    end
  end
end
