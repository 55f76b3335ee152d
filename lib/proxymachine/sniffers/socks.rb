# frozen_string_literal: true

class ProxyMachine
  # SOCKS 4, 4a and 5: where a client wants to be taken, and the replies that it understands.
  module SOCKS
    # The method of SOCKS 5 that needs neither name nor password.
    NO_AUTHENTICATION = 0
    private_constant :NO_AUTHENTICATION

    # The first message of a SOCKS 5 client. It sends its request when this is answered.
    #
    # @!attribute [r] offered
    #   @return [Array<Integer>] the numbers of the methods by which it can authenticate itself
    Greeting = Struct.new(:offered) do
      include Frozen

      # @return [Integer] 5
      def version
        5
      end

      # Whether it can do without authentication, the only way to be served here.
      # @return [Boolean]
      def acceptable?
        offered.include?(NO_AUTHENTICATION)
      end

      # What it waits for: "go on without authentication", or "nothing of that".
      # @return [String] two bytes
      def reply
        acceptable? ? "\x05\x00".b : "\x05\xFF".b
      end
    end

    # Where a client wants to go.
    #
    # @!attribute [r] version
    #   @return [Integer] 4 (for 4a, too) or 5
    # @!attribute [r] command
    #   @return [Symbol] +:connect+, +:bind+ or +:udp_associate+
    # @!attribute [r] host
    #   @return [String] a name, or an IPv4 or IPv6 address
    # @!attribute [r] port
    #   @return [Integer]
    # @!attribute [r] user
    #   @return [String, nil] SOCKS 4: who the client says it is
    # @!attribute [r] size
    #   @return [Integer] bytes that it takes, with the greeting before it; what follows is for the server
    Request = Struct.new(:version, :command, :host, :port, :user, :size) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # Whether it wants to be connected, the only thing that a proxy block can do for it.
      # @return [Boolean]
      def connect?
        command == :connect
      end

      # @return [String] host and port, as a proxy block answers them: "[::1]:80"
      def remote
        host.include?(":") ? "[#{host}]:#{port}" : "#{host}:#{port}"
      end

      # "You are connected."
      # @return [String] bytes for the client
      def accepted
        reply(version == 4 ? 0x5A : 0)
      end

      # "You are not, and this is why."
      # @param reason [Symbol] one of {REASONS}
      # @return [String] bytes for the client
      # @raise [ArgumentError] if it is none of them
      def refused(reason = :general_failure)
        codes = REASONS.fetch(reason) { raise ArgumentError, "no reason of SOCKS: #{reason.inspect}" }
        reply(codes.fetch(version))
      end

      private

      def reply(code)
        version == 4 ? [0, code, 0, 0].pack("CCnN") : [5, code, 0, 1, 0, 0].pack("C4Nn")
      end
    end

    # Why a request can be refused, and the codes that say so in SOCKS 4, which hardly knows reasons, and 5.
    REASONS = {
      general_failure: { 4 => 0x5B, 5 => 1 }, not_allowed: { 4 => 0x5B, 5 => 2 },
      network_unreachable: { 4 => 0x5B, 5 => 3 }, host_unreachable: { 4 => 0x5B, 5 => 4 },
      connection_refused: { 4 => 0x5B, 5 => 5 }, ttl_expired: { 4 => 0x5B, 5 => 6 },
      command_not_supported: { 4 => 0x5B, 5 => 7 }, address_type_not_supported: { 4 => 0x5B, 5 => 8 },
      identd_unreachable: { 4 => 0x5C, 5 => 2 }, identd_mismatch: { 4 => 0x5D, 5 => 2 }
    }.each_value(&:freeze).freeze

    # What the client has said. A greeting counts as long as nothing follows it. What follows says that it was
    # answered, so then the request counts.
    #
    #   ProxyMachine::SOCKS.request("\x04\x01\x00\x50\x0A\x00\x00\x01\x00").remote # => "10.0.0.1:80"
    #
    # @param data [String] all bytes received so far
    # @return [Greeting, Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.request(data)
      Sniffers.socks(data, Greeting, Request)
    end
  end
end
