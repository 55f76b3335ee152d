# frozen_string_literal: true

require_relative "../errors"

class ProxyMachine
  class Cluster
    # Ends what the cluster waits for when a drain begins: a config that loads, a name server, workers that start.
    # @api private
    class DrainInterrupt
      # A drain has begun.
      Interrupted = Class.new(StartError)

      # @return [Boolean] whether a signal that starts a drain has arrived
      attr_reader :requested
      alias requested? requested

      # @yield in the trap of a signal that starts a drain
      def initialize(&stopping)
        @stopping = stopping
      end

      # Lets a signal that starts a drain end the block.
      # @raise [Interrupted]
      def allow
        @is_allowed = true
        interrupt if requested?
        yield
      ensure
        @is_allowed = false
      end

      # Is called in the trap of a signal that starts a drain.
      def request
        @requested = true
        @stopping.call
        interrupt if @is_allowed
      end

      private

      def interrupt
        @is_allowed = false
        raise Interrupted, "a signal ended it before it served"
      end
    end
  end
end
