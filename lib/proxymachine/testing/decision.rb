# frozen_string_literal: true

require_relative "description"

class ProxyMachine
  module Testing
    # One answer of a block: what it said or raised, the parts that Engine.read_answer has found in it, and a Proc that
    # describes it in words.
    # @api private
    Reading = Struct.new(:answer, :error, :kind, :remotes, :words, :data, :reply, :meaning)

    # What a config has decided about the bytes of a client.
    #
    #   decision = router.decide("GET /cats HTTP/1.1\r\n\r\n")
    #   decision.remote # => "10.0.0.1:80"
    #   decision.close? # => false
    class Decision
      # What the block has answered last; nil if it raised an exception or was not asked.
      # @return [Object, nil]
      attr_reader :answer
      # What the block has raised; nil without.
      # @return [Exception, nil]
      attr_reader :error
      # The remotes in the order in which they are tried, Symbols for upstreams; empty unless the client is connected.
      # @return [Array<String, Symbol>]
      attr_reader :remotes
      # The last words before a close, or what a client is sent that is to send more; nil without.
      # @return [String, nil]
      attr_reader :words
      # What the remote is sent instead of what the client has sent; nil for what the client has sent.
      # @return [String, nil]
      attr_reader :data
      # What the client is sent before the remote is connected, or while it is to send more; nil without.
      # @return [String, nil]
      attr_reader :reply
      # How often a block was asked, +proxy_accept+ included.
      # @return [Integer]
      attr_reader :calls
      # In a decision of {Router#cuts} the number of bytes in the first piece, or +:bytes+ for bytes one by one; else
      # nil.
      # @return [Integer, Symbol, nil]
      attr_reader :cut

      # The number of bytes that the block had seen when it decided.
      # @return [Integer]
      # @api private
      attr_reader :received

      # @param reading [Reading] of the last answer
      # @param calls [Integer]
      # @param received [Integer] bytes that the block has seen
      # @param limit [Integer] the setting +max_preread+
      # @param cut [Integer, Symbol, nil]
      # @api private
      def initialize(reading, calls:, received:, limit:, cut:)
        @answer, @error, @kind, remotes, words, @data, reply, @meaning = *reading
        @remotes = remotes || []
        @kind == :invalid ? @reason = words : @words = text(words)
        @reply = text(reply) || (@words unless @kind == :close)
        @calls = calls
        @received = received
        @limit = limit
        @cut = cut
      end

      # The first of the remotes.
      # @return [String, Symbol, nil] nil unless the client is connected
      def remote
        remotes.first
      end

      # Whether the connection is closed: because the block says so, the answer is invalid, the block has raised an
      # exception, or the client has sent +max_preread+ bytes and the block still waits.
      # @return [Boolean]
      def close?
        @kind == :close || @kind == :invalid || full?
      end

      # Whether the block waits for more bytes.
      # @return [Boolean]
      def waits?
        @kind == :wait && !full?
      end

      # Whether TLS ends here: then the block is asked again, about the decrypted bytes. To test that, give
      # {Router#decide} the decrypted bytes and +:tls+.
      # @return [Boolean]
      def tls?
        @kind == :tls
      end

      # @return [String] what happens, the answer, and the number of calls
      def inspect
        "#<Decision#{" #{Description.cut(self)}," if cut} #{Description.decision(self)}>"
      end

      # Why the connection is closed although the block did not say so.
      # @return [String, nil]
      # @api private
      def problem
        return "the block raised #{Description.exception(error)}" if error
        return "the answer is invalid: #{@reason}" if @kind == :invalid

        "no decision after #{@received} bytes (max_preread)" if full?
      end

      # The answer in words, for one that connects.
      # @return [String]
      # @api private
      def meaning
        @meaning.call
      end

      # Everything that client and remote see: two decisions with equal effects are alike. What the client was sent
      # while it had to wait is left out, because a client that sends all at once does not wait.
      # @param bytes [String] all that the client sends; bytes that the block has not seen follow its +:data+
      # @return [Array]
      # @api private
      def effect(bytes)
        return [:wait] if waits?

        to_remote = data && (data + bytes.byteslice(@received..))
        [@kind, remotes, words, to_remote == bytes ? nil : to_remote, reply, error.class, @reason, options]
      end

      private

      # Returns bytes in UTF-8 if they are valid, as the test that compares them is, else binary.
      def text(bytes)
        text = bytes&.dup&.force_encoding(Encoding::UTF_8)
        text.nil? || text.valid_encoding? ? text : bytes
      end

      def full?
        @kind == :wait && @received >= @limit
      end

      # The other keys of the answer, such as timeouts. Objects cannot be compared.
      def options
        return {} unless @kind == :connect && answer.instance_of?(Hash)

        answer.select { |key, value| !%i[remote data reply].include?(key) && PLAIN.include?(value.class) }
      end

      PLAIN = [String, Symbol, Integer, Float, TrueClass].freeze
      private_constant :PLAIN
    end
  end
end
