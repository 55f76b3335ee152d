# frozen_string_literal: true

require_relative "checker"
require_relative "lister"

class ProxyMachine
  module Upstreams
    # The checks and the lists of all upstreams, which one process makes for all.
    # @api private
    class Monitoring
      # @param engine [Engine]
      # @param discovery [Discovery]
      # @raise [ThreadError] if the system does not allow another thread
      def initialize(engine, discovery)
        @engine = engine
        @discovery = discovery
        upstreams = discovery.upstreams
        @listers = upstreams.select(&:list).map do |upstream|
          Lister.new(upstream) { |servers| discovery.listed(upstream, servers) }
        end
        @checkers = upstreams.select(&:check).to_h { |upstream| [upstream, checker(upstream)] }
      rescue ThreadError
        stop
        raise
      end

      # Checks the present servers of an upstream from now on.
      # @param upstream [Config::Upstream]
      def follow(upstream)
        @checkers[upstream]&.servers = @discovery.servers(upstream)
      end

      # Checks servers that were just started more often, since clients wait for them.
      # @param upstream [Config::Upstream, nil]
      def hurry(upstream)
        @checkers[upstream]&.hurry
      end

      # Ends all threads.
      # @return [Array<#join>] what may still be running
      def stop
        [*@listers, *@checkers&.values].flat_map(&:stop)
      end

      private

      def checker(upstream)
        Checker.new(upstream, @discovery.servers(upstream)) do |server, result, reason|
          @engine.set_server_check(upstream.name.to_s, server, result, reason)
        end
      end
    end
  end
end
