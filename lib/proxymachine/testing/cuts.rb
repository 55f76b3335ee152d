# frozen_string_literal: true

class ProxyMachine
  module Testing
    # Compares the decisions for all ways of cutting what a client sends.
    # @api private
    class Cuts
      # Up to this number of bytes, the block is really called for each way of cutting.
      ALWAYS_ASKED = 4096
      private_constant :ALWAYS_ASKED

      # @return [Decision] for the bytes in one piece
      attr_reader :whole
      # @return [Array<Decision>] those that differ, in the order of the cuts; bytes one by one come last
      attr_reader :differing

      # @param questioning [Questioning]
      def initialize(questioning)
        @bytes = questioning.bytes
        @whole = questioning.decide
        @differing = different(questioning)
      end

      # @return [Array<String>] the decision for the whole, and the first that differs, in words
      def lines
        return Description.cuts(whole, differing) if differing.any?

        ["#{Description.cut(whole)}: #{Description.decision(whole)}",
         "the same however #{Description.count(@bytes.bytesize)} are cut"]
      end

      private

      def different(questioning)
        one_by_one = questioning.decide(1..@bytes.bytesize, :bytes)
        decisions = two_pieces(one_by_one).map { |cut| questioning.decide([cut, @bytes.bytesize], cut) }
        expected = whole.effect(@bytes)
        decisions.chain([one_by_one]).reject { |decision| decision.effect(@bytes) == expected }.to_a
      end

      # Returns the sizes of the first piece. If there are many bytes, the sizes at which the block has just waited are
      # left out: to ask again about so many bytes would take minutes, for blocks that search all of them.
      def two_pieces(one_by_one)
        first = @bytes.bytesize > ALWAYS_ASKED ? [one_by_one.received, 1].max : 1
        (first...@bytes.bytesize).lazy
      end
    end
  end
end
