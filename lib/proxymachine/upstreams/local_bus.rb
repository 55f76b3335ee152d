# frozen_string_literal: true

class ProxyMachine
  module Upstreams
    # The bus of a process without workers, which is its own leader and has no others: see Cluster::Bus.
    # @api private
    class LocalBus
      # Whether there are no other processes.
      def alone? = true

      # There are no topics.
      def join(_receiver); end

      # @param receiver [#lead, #request, #asked]
      def start(receiver)
        @receiver = receiver
        receiver.lead(true, false)
      end

      # There is no thread.
      def stop; end

      # There are no others.
      def publish(_topic, _message); end

      # There are no topics.
      def retain(_servers); end

      # @param message [Array] for the leader
      def request(message)
        @receiver.request(*message)
      end

      # There is no other worker to ask.
      # @param message [Array]
      def ask(message)
        @receiver.asked(0, *message)
      end
    end
  end
end
