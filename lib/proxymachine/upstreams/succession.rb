# frozen_string_literal: true

require_relative "../lifecycle/predecessor"

class ProxyMachine
  module Upstreams
    # The servers of upstreams during an upgrade, when two processes use them. The last process stops them.
    # @api private
    class Succession
      # @param engine [Engine]
      def initialize(engine)
        @engine = engine
      end

      # Takes over the servers that the predecessor has started or reached, so that they are stopped in time.
      def inherit
        Lifecycle::Predecessor.reached.each { |name| @engine.upstream_reached(name) }
      end

      # Another process serves from now on.
      def hand_over
        @has_successor = true
      end

      # @return [Array<String>] the names of the upstreams whose servers were started or reached, and not stopped since
      def reached
        @engine.upstreams.filter_map { |upstream| upstream[:name] if upstream[:was_reached] }
      end

      # Whether another process may have connections to the same servers, or will stop them.
      def shares_servers? = @has_successor || Lifecycle::Predecessor.exist?
    end
  end
end
