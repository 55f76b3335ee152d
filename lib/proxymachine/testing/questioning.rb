# frozen_string_literal: true

require_relative "client"
require_relative "decision"
require_relative "description"

class ProxyMachine
  module Testing
    # Asks the blocks of a config about a client, as the engine does (ext/engine/src/session/decide.rs): +proxy_accept+
    # before the first byte, +proxy+ after each piece with all bytes so far, until there is a decision.
    # @api private
    class Questioning
      # @return [String] all that the client sends
      attr_reader :bytes

      # @param config [Config]
      # @param bytes [String]
      # @param client [Hash] see ClientProperties
      # @raise [ArgumentError] if the bytes are no String, if no block routes the client, or see ClientProperties
      def initialize(config, bytes, **client)
        raise ArgumentError, "a client sends a String, not #{SafeInspect.inspect(bytes)}" unless bytes.is_a?(String)

        @bytes = bytes.b.freeze
        @properties = ClientProperties.new(config, **client)
        listener = @properties.listener
        @accept = config.blocks[:accept]&.callable
        @proxy = config.blocks.router(listener)
        raise ArgumentError, "no proxy block for #{listener ? listener.inspect : "a client of no named listener"}" \
          unless @proxy

        @limit = config.settings.to_h[:max_preread]
        @upstreams = config.upstreams.map { |upstream| upstream.name.to_s }
      end

      # Asks until there is a decision, or all has come.
      # @param pieces [Enumerable<Integer>] how many bytes have come at each call of the block
      # @param cut [Integer, Symbol, nil] the name of this way of cutting
      # @return [Decision]
      def decide(pieces = [bytes.bytesize], cut = nil)
        greeting = @accept && ask(true) { @accept.call(@properties.client) }
        calls = greeting ? 1 : 0
        reading, asked, received = bytes.empty? || done?(greeting) ? [greeting || SILENT, 0, 0] : route(pieces)
        Decision.new(reading, calls: calls + asked, received: received, limit: @limit, cut: cut)
      end

      # A client that has sent nothing, and about which no block was asked.
      SILENT = Reading.new(nil, nil, :wait).freeze
      private_constant :SILENT

      private

      # Returns the last answer, the number of calls, and the number of bytes in the last call.
      def route(pieces)
        pieces.each.with_index(1) do |size, calls|
          received = [size, @limit].min
          client = @properties.client if @proxy.takes_client
          reading = ask(false) { @proxy.call(bytes.byteslice(0, received), client) }
          return [reading, calls, received] if reading.kind != :wait || received >= [@limit, bytes.bytesize].min
        end
      end

      # Why an answer is invalid that ends TLS on a connection whose bytes are decrypted.
      TWICE = "TLS has ended already on this connection"

      def ask(is_early)
        answer = yield
        read(answer, is_early)
      rescue Exception => e # rubocop:disable Lint/RescueException -- a block may raise anything
        raise if Fatal === e && !e.is_a?(SystemExit) # rubocop:disable Style/CaseEquality

        Reading.new(answer, e, :close)
      end

      def read(answer, is_early)
        given = is_early && answer.nil? ? :noop : answer # nil from proxy_accept waits.
        parts = Engine.read_answer(given, is_early, @upstreams)
        parts = [:invalid, nil, TWICE] if parts.first == :tls && @properties.tls? && !is_early
        reading = Reading.new(answer, nil, *parts)
        reading.meaning = -> { Engine.explain(given, is_early, @upstreams) }
        reading
      end

      # Whether +proxy_accept+ has decided. If the test says that the bytes are decrypted, TLS has ended already.
      def done?(greeting)
        greeting && greeting.kind != :wait && !(greeting.kind == :tls && @properties.tls?)
      end
    end
  end
end
