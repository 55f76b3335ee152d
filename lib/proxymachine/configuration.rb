# frozen_string_literal: true

class ProxyMachine
  # All that the config and the command line say. A reload makes another one, and puts it in the place of the
  # old one if it is good.
  # @api private
  class Configuration
    # @return [Blocks]
    attr_reader :blocks
    # @return [Settings]
    attr_reader :settings
    # @return [Listeners]
    attr_reader :listeners
    # @return [Privileges]
    attr_reader :privileges

    def initialize(settings = Settings.new, listeners = Listeners.new, privileges = Privileges.new)
      @blocks = Blocks.new
      @settings = settings
      @listeners = listeners
      @privileges = privileges
    end

    # What the command line says, without what the config said. Who runs cannot become somebody else any more.
    # @return [Configuration]
    def blank
      Configuration.new(@settings.blank, @listeners.blank)
    end

    # Gives up the rights of root, but not the access log that it has opened.
    # @raise [StartError] if the system does not allow it
    def drop_privileges
      @privileges.own_log(@settings.to_h[:access_log])
      @privileges.drop
    end

    # @param first [String, nil] "host:port" to listen on before all others
    # @return [Array<Hash>] where to listen
    # @raise [ConfigError] if listeners and blocks do not belong together
    def checked_listeners(first = nil)
      @listeners.to_a(first).tap { |listeners| @blocks.check(listeners) }
    end
  end
end
