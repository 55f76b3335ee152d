# frozen_string_literal: true

class ProxyMachine
  # PostgreSQL: what a client says before it is authenticated.
  module Postgres
    # The message by which a client begins.
    #
    # @!attribute [r] kind
    #   @return [Symbol] +:startup+, +:ssl_request+, +:gssenc_request+ or +:cancel+
    # @!attribute [r] user
    #   @return [String, nil] who it wants to be. This and the next three are only known of a start-up message.
    # @!attribute [r] database
    #   @return [String, nil] the database that it wants; the user's name if it does not say
    # @!attribute [r] parameters
    #   @return [Hash{String => String}, nil] everything it says
    # @!attribute [r] version
    #   @return [String, nil] the protocol's, such as "3.0"
    # @!attribute [r] process_id
    #   @return [Integer, nil] whose query is to be canceled
    # @!attribute [r] key
    #   @return [String, nil] what proves that it may be
    # @!attribute [r] offset
    #   @return [Integer] where the message begins: after the requests for encryption that were answered
    # @!attribute [r] size
    #   @return [Integer] the bytes that it takes from there
    Startup = Struct.new(:kind, :user, :database, :parameters, :version, :process_id, :key, :offset, :size) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # Whether the client said who it is.
      # @return [Boolean]
      def startup?
        kind == :startup
      end

      # Whether it waits for an "S", and would go on in TLS, or for an "N".
      # @return [Boolean]
      def ssl_request?
        kind == :ssl_request
      end

      # Whether it waits for a "G", and would go on in GSSAPI, or for an "N".
      # @return [Boolean]
      def gssenc_request?
        kind == :gssenc_request
      end

      # Whether it wants the query of another connection to end.
      # @return [Boolean]
      def cancel?
        kind == :cancel
      end
    end

    # What +data+ begins with. A request for encryption counts as long as nothing follows it. What follows says
    # that it was answered with "N", so then the next message counts.
    #
    #   ProxyMachine::Postgres.startup([8, 80_877_103].pack("NN")).ssl_request? # => true
    #
    # @param data [String] all bytes received so far
    # @return [Startup, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.startup(data)
      Sniffers.postgres(data, Startup)
    end
  end
end
