# frozen_string_literal: true

class ProxyMachine
  # SOCKS 4, 4a and 5: the destination that a client asks for, and the replies to the client.
  module SOCKS
    # The SOCKS 5 method "no authentication required".
    NO_AUTHENTICATION = 0
    private_constant :NO_AUTHENTICATION

    # The first message of a SOCKS 5 client. The client sends its request after the answer to it.
    #
    # @!attribute [r] offered
    #   @return [Array<Integer>] the numbers of the methods of authentication that the client supports
    Greeting = Struct.new(:offered) do
      include Frozen

      # @return [Integer] 5
      def version
        5
      end

      # Tells whether the client supports "no authentication", the only method that {#reply} accepts.
      # @return [Boolean]
      def acceptable?
        offered.include?(NO_AUTHENTICATION)
      end

      # Returns the answer to the client: "no authentication required", or "no acceptable methods".
      # @return [String] two bytes
      def reply
        acceptable? ? "\x05\x00".b : "\x05\xFF".b
      end
    end

    # A request to relay a connection.
    #
    # @!attribute [r] version
    #   @return [Integer] 4 (for 4a, too) or 5
    # @!attribute [r] command
    #   @return [Symbol] +:connect+, +:bind+ or +:udp_associate+
    # @!attribute [r] host
    #   @return [String] the destination's name in its normal form, or its IPv4 or IPv6 address
    # @!attribute [r] port
    #   @return [Integer] the destination's port
    # @!attribute [r] user
    #   @return [String, nil] SOCKS 4: the user id that the client claims
    # @!attribute [r] size
    #   @return [Integer] the size in bytes, the greeting included; the bytes after it are for the destination
    # @!attribute [r] raw_host
    #   @return [String] the host as the client wrote it; +host+ if the client sent an address in binary form
    Request = Struct.new(:version, :command, :host, :port, :user, :size, :raw_host) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # Tells whether the command is +:connect+, the only one that a proxy block can carry out.
      # @return [Boolean]
      def connect?
        command == :connect
      end

      # @return [String] host and port in the form that a proxy block returns, such as "[::1]:80"
      def remote
        host.include?(":") ? "[#{host}]:#{port}" : "#{host}:#{port}"
      end

      # Returns the reply "request granted".
      # @return [String] bytes for the client
      def accepted
        reply(version == 4 ? 0x5A : 0)
      end

      # Returns a reply that refuses the request.
      # @param reason [Symbol] one of {REASONS}
      # @return [String] bytes for the client
      # @raise [ArgumentError] if +reason+ is not one of them
      def refused(reason = :general_failure)
        codes = REASONS.fetch(reason) { raise ArgumentError, "no reason of SOCKS: #{reason.inspect}" }
        reply(codes.fetch(version))
      end

      private

      def reply(code)
        version == 4 ? [0, code, 0, 0].pack("CCnN") : [5, code, 0, 1, 0, 0].pack("C4Nn")
      end
    end

    # Reasons for a refusal, with their codes in SOCKS 4, which has few, and SOCKS 5.
    REASONS = {
      general_failure: { 4 => 0x5B, 5 => 1 }, not_allowed: { 4 => 0x5B, 5 => 2 },
      network_unreachable: { 4 => 0x5B, 5 => 3 }, host_unreachable: { 4 => 0x5B, 5 => 4 },
      connection_refused: { 4 => 0x5B, 5 => 5 }, ttl_expired: { 4 => 0x5B, 5 => 6 },
      command_not_supported: { 4 => 0x5B, 5 => 7 }, address_type_not_supported: { 4 => 0x5B, 5 => 8 },
      identd_unreachable: { 4 => 0x5C, 5 => 2 }, identd_mismatch: { 4 => 0x5D, 5 => 2 }
    }.each_value(&:freeze).freeze

    # Parses the message at the start of +data+. A greeting is returned while no byte follows it. A byte after it means
    # that it was answered; then the request is returned.
    #
    #   ProxyMachine::SOCKS.request("\x04\x01\x00\x50\x0A\x00\x00\x01\x00").remote # => "10.0.0.1:80"
    #
    # @param data [String] all bytes received so far
    # @return [Greeting, Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.request(data)
      Sniffers.socks(data, Greeting, Request)
    end
  end
end
