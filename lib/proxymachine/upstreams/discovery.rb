# frozen_string_literal: true

class ProxyMachine
  module Upstreams
    # The servers of upstreams and their states, as one process finds them out for all: addresses of names, lists and
    # checks.
    # @api private
    class Discovery
      # @return [Config::Upstreams]
      attr_accessor :upstreams

      # @param engine [Engine]
      # @param bus [LocalBus, Cluster::BusMember]
      # @yieldparam upstream [Config::Upstream] has other servers
      def initialize(engine, bus, &changed)
        @engine = engine
        @bus = bus
        @changed = changed
        @addresses = {}
        @lock = Monitor.new
      end

      # @param upstream [Config::Upstream]
      # @return [Array<String>] its servers; a name that is looked up stands for its addresses
      def servers(upstream)
        name = upstream.name.to_s
        @lock.synchronize { upstream.servers.flat_map { |server| @addresses.fetch([name, server], [server]) }.uniq }
      end

      # A block has listed other servers.
      # @param upstream [Config::Upstream]
      # @param servers [Array<String>]
      def listed(upstream, servers)
        name = upstream.name.to_s
        list(name, servers)
        @bus.publish(["servers", name], ["servers", name, servers])
        retain
      end

      # The engine of this process has found out something.
      # @param kind [Symbol] +:check+, a server's state, or +:addresses+ of a name
      # @param name [String]
      # @param server [String]
      # @param rest [Array]
      def found(kind, name, server, *rest)
        message = [kind == :check ? "state" : "addresses", name, server, *rest]
        remember(name, server, *rest) if kind == :addresses
        @bus.publish(message.first(3), message)
        retain if kind == :addresses
      end

      # Has the bus forget all other upstreams, and the states of servers that are not checked any more.
      def retain
        @bus.retain(@upstreams.to_h do |upstream|
          [upstream.name.to_s, upstream.check_interval ? servers(upstream) : []]
        end)
      end

      # Another process has found out something. It may have another config, during a reload.
      # @param kind [String]
      # @param name [String]
      # @param rest [Array]
      def told(kind, name, *rest)
        upstream = @upstreams[name.to_sym]
        return unless upstream && expected?(kind, upstream)

        case kind
        when "servers" then list(name, *rest)
        when "state" then @engine.set_server_state(name, *rest)
        when "addresses" then resolved(name, *rest)
        end
      end

      private

      def list(name, servers)
        upstream = @upstreams[name.to_sym] or return
        @lock.synchronize { upstream.servers = servers }
        @engine.set_upstream_servers(name, upstream.weighted(servers))
        @changed.call(upstream)
      end

      # Whether the config of this process has something like that found out.
      def expected?(kind, upstream)
        { "servers" => upstream.list, "state" => upstream.check_interval,
          "addresses" => upstream.options[:resolve] }[kind]
      end

      def resolved(name, *rest)
        @engine.set_server_addresses(name, *rest)
        remember(name, *rest)
      end

      def remember(name, server, addresses)
        @lock.synchronize { @addresses[[name, server]] = addresses }
        upstream = @upstreams[name.to_sym]
        @changed.call(upstream) if upstream
      end
    end
  end
end
