# frozen_string_literal: true

require_relative "../testing"

class ProxyMachine
  module Testing
    # What a test expects of a router. RSpec's matchers and Minitest's assertions share the expectations, and so their
    # messages. An expected value is compared by `===`, so that a Regexp is one, too.
    # @api private
    module Expectations
      # An expectation about the decision for some bytes.
      # @api private
      class Expectation
        # @param bytes [String] what the client sends
        # @param client [Hash] see Router#decide
        def initialize(bytes, client)
          @bytes = bytes
          @client = client
        end

        # @param router [Router]
        # @return [Boolean] whether the router does what is expected
        # @raise [ArgumentError] if it is no router
        def met?(router)
          raise ArgumentError, "expected what ProxyMachine::Testing.load returns, not #{SafeInspect.inspect(router)}" \
            unless router.is_a?(Router)

          ask(router)
        end

        # @param negation [String]
        # @return [String] what was expected, and what the router decided
        def message(negation = "")
          "expected the router #{negation}to #{description}\nbut it #{Description.decision(@decision)}"
        end

        private

        def ask(router)
          @decision = router.decide(@bytes, **@client)
          satisfied?
        end

        def sent
          properties = @client.map { |key, value| "#{key}: #{value.inspect}" }.join(", ")
          "#{Description.bytes(@bytes)}#{" (#{properties})" unless properties.empty?}"
        end
      end

      # Expects that the client is connected to remotes; to any if none is named.
      # @api private
      class Route < Expectation
        # @param remotes [Array] all remotes, or the first one
        # @return [self]
        def to(remotes)
          @remotes = remotes.map { |remote| remote.is_a?(Symbol) ? remote.to_s : remote }
          self
        end

        # @return [String]
        def description
          names = @remotes&.map { |remote| remote.is_a?(String) ? remote : remote.inspect }
          "route #{sent}#{" to #{names.join(", ")}" if names}"
        end

        private

        def satisfied?
          actual = @decision.remotes.map(&:to_s)
          return actual.any? unless @remotes

          actual = actual.first(1) if @remotes.one?
          @remotes.size == actual.size && @remotes.zip(actual).all? { |expected, remote| expected === remote } # rubocop:disable Style/CaseEquality
        end
      end

      # Expects that the client is closed, perhaps with certain words.
      # @api private
      class Close < Expectation
        # @param words [String, Regexp, nil] nil for none
        # @return [self]
        def with(words)
          @is_exact = true
          @words = words
          self
        end

        # @return [String]
        def description
          "close #{sent}#{" with #{@words ? expected : "no words"}" if @is_exact}"
        end

        private

        def expected
          @words.is_a?(String) ? Description.bytes(@words) : @words.inspect
        end

        def satisfied?
          return false unless @decision.close?

          words = @decision.words
          return true unless @is_exact
          return @words.b == words&.b if @words.is_a?(String)

          @words === words # rubocop:disable Style/CaseEquality
        end
      end

      # Expects that the block waits for more bytes.
      # @api private
      class Wait < Expectation
        # @return [String]
        def description
          "wait for more after #{sent}"
        end

        private

        def satisfied?
          @decision.waits?
        end
      end

      # Expects that the decision does not depend on the pieces in which the bytes arrive.
      # @api private
      class DecideAlike < Expectation
        # @return [String]
        def description
          "decide alike however #{sent} is cut"
        end

        # @param negation [String]
        # @return [String] what was expected, and the first cut that differs
        def message(negation = "")
          "expected the router #{negation}to #{description}\nbut #{@cuts.lines.join("\n    ")}"
        end

        private

        def ask(router)
          @cuts = router.compare(@bytes, @client)
          @cuts.differing.empty?
        end
      end
    end
  end
end
