# frozen_string_literal: true

module Bench
  class Soak
    # The outcomes of the load, by phase.
    class Phases
      include Enumerable

      def initialize
        @all = []
      end

      def <<(result)
        @all << result
        self
      end

      def each(&)
        @all.each(&)
      end

      def last
        @all.last
      end

      # The number of connections.
      def opened
        sum { |result| result["opened"] }
      end

      # The number of connections by kind.
      def kinds
        map { |result| result["kinds"] }.reduce { |one, other| one.merge(other) { |_, a, b| a + b } }
                                        .tap { |all| all.default = 0 }
      end

      # The failures of the last phase.
      def failures
        found = last["failures"]
        more = last["failed"] - found.size
        more.positive? ? [*found, "and #{more} more such"] : found
      end
    end
  end
end
