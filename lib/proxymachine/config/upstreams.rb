# frozen_string_literal: true

require_relative "listeners"
require_relative "upstream"

class ProxyMachine
  class Config
    # The upstreams of a configuration.
    # @api private
    class Upstreams
      include Enumerable

      # Answers of a block that are Symbols already.
      TAKEN = %i[noop close].freeze
      private_constant :TAKEN

      # @param value [Symbol, String] the name of an upstream
      # @return [Symbol]
      # @raise [ConfigError] if +value+ cannot be a name
      def self.name(value)
        name = Listeners.name(value, "an upstream")
        return name unless TAKEN.include?(name)

        raise ConfigError, "no upstream can be called #{name.inspect}, which is an answer of a block"
      end

      def initialize
        @upstreams = {}
        @checks = {}
      end

      # Declares an upstream.
      # @param name [Symbol, String]
      # @param servers [Array] "host:port" or "unix:/path"
      # @param options [Hash] see UpstreamOptions::ALL
      # @param block [Proc, nil] lists the servers
      # @raise [ConfigError] naming the upstream and what is wrong
      def add(name, servers, options, block)
        name = Upstreams.name(name)
        raise ConfigError, "upstream #{name.inspect} is declared twice: give one of them another name" \
          if @upstreams.key?(name)

        @upstreams[name] = Upstream.new(name, servers, options, block)
      end

      # Declares how the servers of an upstream are checked. The last declaration counts.
      # @param name [Symbol, String]
      # @param block [Proc]
      # @raise [ConfigError] if there is no block, or the name cannot be one
      def add_check(name, block)
        name = Upstreams.name(name)
        raise ConfigError, "upstream_check(#{name.inspect}) needs a block that takes a server" unless block

        @checks[name] = block
      end

      # Completes the upstreams after the config is loaded.
      # @raise [ConfigError] if a check has no upstream
      def check
        unknown = @checks.keys - @upstreams.keys
        raise ConfigError, "upstream_check(#{unknown.first.inspect}): no upstream has that name" if unknown.any?

        @checks.each { |name, block| @upstreams[name].check = block }
      end

      # @yieldparam upstream [Upstream]
      def each(&block)
        @upstreams.each_value(&block)
      end

      # @param name [Symbol]
      # @return [Upstream, nil]
      def [](name)
        @upstreams[name]
      end

      # @return [Hash{Symbol => Array<String>}] the servers that blocks have listed, by upstream
      def lists
        select(&:list).to_h { |upstream| [upstream.name, upstream.servers] }.compact
      end

      # Sets servers that blocks have listed in another process.
      # @param lists [Hash{Symbol => Array<String>}]
      def lists=(lists)
        lists.each { |name, servers| self[name].servers = servers if self[name]&.list }
      end

      # @return [Array<Hash>] the form that the engine takes
      def to_a
        map(&:to_h)
      end
    end
  end
end
