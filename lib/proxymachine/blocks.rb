# frozen_string_literal: true

class ProxyMachine
  # The config's blocks, and how they are called. Whatever is set takes effect for the next call.
  # @api private
  class Blocks
    # What was given, what is called instead (see Callable), and whether that takes the client, too.
    Block = Struct.new(:given, :callable, :takes_client) do
      # @param data [String]
      # @param client [Client, nil] only for those that take it
      def call(data, client)
        takes_client ? callable.call(data, client) : callable.call(data)
      end
    end

    def initialize
      @routers = {}
      @former = {}
      @blocks = {}
    end

    # @param listener [Symbol, String, nil] whose clients it decides about; nil for all that have none of their own
    def set_router(callable, listener = nil)
      @routers[listener && Listeners.name(listener)] = block(callable, 2)
      tell
    end

    # @param kind [Symbol] +:accept+, +:timeout+, +:connect_error+ or +:inactivity_error+
    # @param arguments [Integer] how many it may take
    def set(kind, callable, arguments = 1)
      @blocks[kind] = block(callable, arguments)
      tell
    end

    # @return [Block, nil] what decides about the clients of a listener
    def router(listener = nil)
      @routers[listener] || @routers[nil] || @former[listener]
    end

    # Takes the place of other ones, which may have had blocks for listeners that are gone now: who came in there is
    # not decided yet.
    # @param others [Blocks]
    def replace(others)
      @former = others.named_routers.reject { |name, _| @routers.key?(name) }
      tell(others.engine)
      others.tell(nil)
    end

    # @return [Block, nil]
    def [](kind)
      @blocks[kind]
    end

    # @param listeners [Array<Hash>] see Listeners#to_a
    # @raise [ConfigError] if a listener has no block that decides, or a block no listener
    def check(listeners)
      names = listeners.map { |listener| listener[:name]&.to_sym }
      lost = @routers.keys.compact - names
      raise ConfigError, "proxy(#{lost.first.inspect}): no listener has that name" if lost.any?

      index = names.index { |name| !router(name) }
      raise ConfigError, "no proxy block for #{listeners[index][:address]}" if index
    end

    # Whether there is a block that decides.
    def routing?
      @routers.each_value.any?
    end

    # Tells an engine now and at each change which blocks there are.
    # @param engine [Engine, nil]
    def tell(engine = @engine)
      @engine = engine
      engine&.want(!@blocks[:accept].nil?, !@blocks[:timeout].nil?, take_client?)
    end

    protected

    attr_reader :engine

    def named_routers
      @former.merge(@routers).compact
    end

    private

    def block(callable, arguments)
      return unless callable

      takes = [Callable.arguments(callable), arguments].min
      Block.new(callable, Callable.wrap(callable, [takes, 1].max), takes > 1)
    end

    # The client is only described if some block takes it.
    def take_client?
      !@blocks[:accept].nil? || [*@routers.values, *@blocks.values].compact.any?(&:takes_client)
    end
  end
end
