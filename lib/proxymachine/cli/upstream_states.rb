# frozen_string_literal: true

require "json"
require_relative "../top/client"

class ProxyMachine
  class CLI
    # The states of upstreams' servers as the running server has them, for `--route`. A dry run checks no server itself.
    # @api private
    class UpstreamStates
      # Servers of one upstream that are shown.
      MAX_SHOWN = 10
      private_constant :MAX_SHOWN

      # @param address [String, nil] the setting +admin+
      def initialize(address)
        @address = address
      end

      # @param upstream [Config::Upstream]
      # @return [String] a line
      def line(upstream)
        known = running.find { |one| one["name"] == upstream.name.to_s }
        known ? "now: #{list(known.fetch("servers"))}" : "now: the running server does not have this upstream"
      rescue Top::Client::Unavailable => e
        "now: unknown, since #{SafeInspect.message(e)}; --route checks nothing itself"
      end

      private

      def list(servers)
        return "no server" if servers.empty?

        shown = servers.first(MAX_SHOWN).map { |server| describe(server) }
        shown << "#{servers.size - MAX_SHOWN} more" if servers.size > MAX_SHOWN
        shown.join(", ")
      end

      def describe(server)
        connections = server["connections"]
        "#{server["server"]} #{server["state"]} (#{connections} connection#{"s" unless connections == 1})"
      end

      def running
        raise Top::Client::Unavailable, "the config has no admin address" unless @address

        @running ||= Top::Client.new(@address).status.fetch("upstreams", [])
      end
    end
  end
end
