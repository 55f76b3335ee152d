# frozen_string_literal: true

class ProxyMachine
  # PostgreSQL: the messages of a client before authentication.
  module Postgres
    # The first message of a client that is not answered yet.
    #
    # @!attribute [r] kind
    #   @return [Symbol] +:startup+, +:ssl_request+, +:gssenc_request+ or +:cancel+
    # @!attribute [r] user
    #   @return [String, nil] the user's name. Only a start-up message has this and the next three.
    # @!attribute [r] database
    #   @return [String, nil] the name of the database; it defaults to the user's name
    # @!attribute [r] parameters
    #   @return [Hash{String => String}, nil] all parameters, user and database included
    # @!attribute [r] version
    #   @return [String, nil] the version of the protocol, such as "3.0"
    # @!attribute [r] process_id
    #   @return [Integer, nil] the server process whose query is to be canceled
    # @!attribute [r] key
    #   @return [String, nil] the secret key of that process
    # @!attribute [r] offset
    #   @return [Integer] the offset of the message: after the requests for encryption that were answered
    # @!attribute [r] size
    #   @return [Integer] the size of the message in bytes
    Startup = Struct.new(:kind, :user, :database, :parameters, :version, :process_id, :key, :offset, :size) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # Tells whether this is a start-up message.
      # @return [Boolean]
      def startup?
        kind == :startup
      end

      # Tells whether the client asks for TLS and waits for an "S" or an "N".
      # @return [Boolean]
      def ssl_request?
        kind == :ssl_request
      end

      # Tells whether the client asks for GSSAPI encryption and waits for a "G" or an "N".
      # @return [Boolean]
      def gssenc_request?
        kind == :gssenc_request
      end

      # Tells whether the client asks to cancel the query of another connection.
      # @return [Boolean]
      def cancel?
        kind == :cancel
      end
    end

    # Parses the message at the start of +data+. A request for encryption is returned while no byte follows it. A byte
    # after it means that it was answered with "N"; then the next message is returned.
    #
    #   ProxyMachine::Postgres.startup([8, 80_877_103].pack("NN")).ssl_request? # => true
    #
    # @param data [String] all bytes received so far
    # @return [Startup, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.startup(data)
      Sniffers.postgres(data, Startup)
    end
  end
end
