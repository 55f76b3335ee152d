# frozen_string_literal: true

require_relative "callable"
require_relative "listeners"

class ProxyMachine
  class Config
    # The blocks of a config, and how they are called. A block that is set takes effect for the next call.
    # @api private
    class Blocks
      # A block as it was given, as it is called (see Callable), and whether it takes a Client, too.
      Block = Struct.new(:given, :callable, :takes_client) do
        # @param data [String]
        # @param client [Client, nil] nil unless the block takes it
        def call(data, client)
          takes_client ? callable.call(data, client) : callable.call(data)
        end
      end

      def initialize
        @routers = {}
        @former = {}
        @blocks = {}
      end

      # @param callable [#call, nil] the block of +proxy+
      # @param listener [Symbol, String, nil] the listener whose clients it routes; nil for all listeners without an own
      #   block
      def set_router(callable, listener = nil)
        @routers[listener && Listeners.name(listener)] = block(callable, 2)
        configure_engine
      end

      # @param kind [Symbol] +:accept+, +:timeout+, +:connect_error+ or +:inactivity_error+
      # @param callable [#call, nil]
      # @param arguments [Integer] how many arguments the block may take
      def set(kind, callable, arguments = 1)
        @blocks[kind] = block(callable, arguments)
        configure_engine
      end

      # @return [Block, nil] the block that routes the clients of a listener
      def router(listener = nil)
        @routers[listener] || @routers[nil] || @former[listener]
      end

      # @return [Block, nil]
      def [](kind)
        @blocks[kind]
      end

      # Whether there is a block that routes.
      def routing?
        @routers.each_value.any?
      end

      # @param listeners [Array<Hash>] see Listeners#to_a
      # @raise [ConfigError] if a listener has no block that routes, or a block no listener
      def check(listeners)
        names = listeners.map { |listener| listener[:name]&.to_sym }
        unknown = @routers.keys.compact - names
        raise ConfigError, "proxy(#{unknown.first.inspect}): no listener has that name" if unknown.any?

        index = names.index { |name| !router(name) }
        raise ConfigError, "no proxy block for #{listeners[index][:address]}" if index
      end

      # Tells the engine now, and after each change, which kinds of blocks are configured.
      # @param engine [Engine, nil] nil ends that
      def configure_engine(engine = @engine)
        @engine = engine
        engine&.configure_blocks(!@blocks[:accept].nil?, !@blocks[:timeout].nil?, take_client?)
      end

      # Takes over the engine of the running blocks. Blocks for listeners that are gone are kept: clients of those
      # listeners may still be undecided.
      # @param others [Blocks]
      def replace(others)
        @former = others.named_routers.reject { |name, _| @routers.key?(name) }
        configure_engine(others.engine)
        others.configure_engine(nil)
      end

      protected

      attr_reader :engine

      def named_routers
        @former.merge(@routers).compact
      end

      private

      def block(callable, arguments)
        return unless callable

        taken = [Callable.arguments(callable), arguments].min
        Block.new(callable, Callable.wrap(callable, [taken, 1].max), taken > 1)
      end

      # The engine describes clients only if a block takes them.
      def take_client?
        !@blocks[:accept].nil? || [*@routers.values, *@blocks.values].compact.any?(&:takes_client)
      end
    end
  end
end
