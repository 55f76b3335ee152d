# frozen_string_literal: true

module Bench
  class Soak
    # What came of the load, stretch by stretch.
    class Stretches
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

      # Connections.
      def opened
        sum { |result| result["opened"] }
      end

      # Connections by their kind.
      def kinds
        map { |result| result["kinds"] }.reduce { |one, other| one.merge(other) { |_, a, b| a + b } }
                                        .tap { |all| all.default = 0 }
      end

      # What went wrong in the last one.
      def failures
        found = last["failures"]
        more = last["failed"] - found.size
        more.positive? ? [*found, "and #{more} more such"] : found
      end
    end
  end
end
