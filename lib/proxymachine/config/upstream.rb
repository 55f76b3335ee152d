# frozen_string_literal: true

require_relative "../safe_inspect"
require_relative "callable"
require_relative "upstream_options"

class ProxyMachine
  class Config
    # One declared upstream: its servers, its options, and the Ruby that belongs to it.
    # @api private
    class Upstream
      # Seconds between two calls of an +upstream_check+ block, unless +:check+ says otherwise.
      CHECK_INTERVAL = 2.0
      # Servers of one upstream. A longer list is a mistake.
      MAX_SERVERS = 100_000
      private_constant :MAX_SERVERS

      # @return [Symbol]
      attr_reader :name
      # @return [Array<String>, nil] the servers; nil until the block that lists them has returned
      attr_accessor :servers
      # @return [Hash] see UpstreamOptions::ALL
      attr_reader :options
      # @return [#call, nil] the block that lists the servers
      attr_reader :list
      # @return [#call, nil] the block of +upstream_check+
      attr_reader :check

      # Checks servers that a config has named or a block has returned.
      # @param list [Object]
      # @return [Array<String>] each server once
      # @raise [ConfigError] naming the wrong server
      def self.servers(list)
        raise ConfigError, "servers are an Array such as [\"10.0.0.1:80\"], not #{SafeInspect.inspect(list)}" \
          unless list.is_a?(Array)
        raise ConfigError, "#{list.size} servers are more than #{MAX_SERVERS}" if list.size > MAX_SERVERS

        list.map { |server| server(server) }.uniq
      end

      def self.server(server)
        require_relative "../extension"
        text = server.is_a?(String) || server.is_a?(Symbol) ? SafeInspect.utf8(server.to_s) : nil
        reason = text ? Engine.invalid_remote(text) : "it is no String"
        return text unless reason

        raise ConfigError, "invalid server #{SafeInspect.inspect(server)}: #{reason}, expected \"host:port\""
      end
      private_class_method :server

      # @param name [Symbol]
      # @param servers [Array] "host:port" or "unix:/path"
      # @param options [Hash] see UpstreamOptions::ALL
      # @param block [Proc, nil] lists the servers, with +:every+
      # @raise [ConfigError] naming the upstream and the wrong option or server
      def initialize(name, servers, options, block)
        @name = name
        explain do
          @options = UpstreamOptions.read(options)
          @servers = block ? nil : Upstream.servers(servers.flatten)
          @list = block && Callable.wrap(block)
          check_list(servers)
          check_weights
          check_tls
        end
      end

      # @param block [Proc] decides whether a server is up
      def check=(block)
        @check = Callable.wrap(block)
      end

      # Calls the block that lists the servers.
      # @return [Array<String>]
      # @raise [ConfigError] if the list has an invalid server
      # @raise [Exception] what the block raises
      def call_list
        Upstream.servers(@list.call(nil))
      end

      # Calls +:start+ or +:stop+.
      # @param hook [Symbol]
      # @raise [Exception] what it raises
      def call_hook(hook)
        callable = @options.fetch(hook)
        callable.is_a?(Proc) && !callable.lambda? ? Callable.wrap(callable).call(nil) : callable.call
      end

      # @return [Float, nil] seconds between two checks of a server
      def check_interval
        @options[:check] || (@check && CHECK_INTERVAL)
      end

      # Whether the engine has events for Ruby about it.
      def events?
        [@options[:start], @options[:stop], @options[:resolve] && @check].any?
      end

      # @return [Hash] the form that the engine takes
      def to_h
        {
          name: @name.to_s, **@options.except(:weights, :start, :stop, :every, :on_down),
          balance: @options[:balance].to_s,
          servers: weighted(@servers || []), weights: @options[:weights],
          close_on_down: @options[:on_down] == :close,
          check: check_interval, checked_by_ruby: !@check.nil?,
          starts: !@options[:start].nil?, stops: !@options[:stop].nil?
        }
      end

      # @param servers [Array<String>]
      # @return [Array(Array(String, Integer))] servers and weights
      def weighted(servers)
        servers.map { |server| [server, @options[:weights].fetch(server, 1)] }
      end

      # Puts the upstream's name before an error.
      # @raise [ConfigError]
      def explain
        yield
      rescue ConfigError => e
        raise ConfigError, "upstream #{@name.inspect}: #{e.message}"
      end

      private

      def check_list(servers)
        every = @options[:every]
        raise ConfigError, ":every needs a block that returns the list of servers" if every && !@list
        raise ConfigError, "a block that returns the list of servers needs :every => seconds" if @list && !every
        raise ConfigError, "name the servers or give a block that returns them, not both" if @list && servers.any?
      end

      # A certificate is checked for a name, which a path is not.
      def check_tls
        path = @servers&.find { |server| server.start_with?("unix:") }
        return unless path && @options[:remote_tls] == true

        raise ConfigError, ":remote_tls => true has no name for #{path}: give the name in its certificate"
      end

      # With +:resolve+, addresses of a name may have weights, and a list may have any servers later.
      def check_weights
        return if @list || @options[:resolve]

        unknown = @options[:weights].keys - @servers
        raise ConfigError, ":weights names #{SafeInspect.inspect(unknown.first)}, which is none of the servers" \
          if unknown.any?
      end
    end
  end
end
