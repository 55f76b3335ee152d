# frozen_string_literal: true

require_relative "config/blocks"
require_relative "config/candidate"
require_relative "config/listeners"
require_relative "config/loader"
require_relative "config/privileges"
require_relative "config/settings"
require_relative "config/tls_identities"
require_relative "config/upstreams"

class ProxyMachine
  # One configuration: everything that a config file and the command line say. A reload builds a candidate, which
  # replaces the running configuration if it is valid.
  # @api private
  class Config
    # @return [Blocks]
    attr_reader :blocks
    # @return [Settings]
    attr_reader :settings
    # @return [Listeners]
    attr_reader :listeners
    # @return [Privileges]
    attr_reader :privileges
    # @return [Upstreams]
    attr_reader :upstreams
    # @return [TlsIdentities]
    attr_reader :tls_identities

    # @param settings [Settings]
    # @param listeners [Listeners]
    def initialize(settings = Settings.new, listeners = Listeners.new)
      @blocks = Blocks.new
      @settings = settings
      @listeners = listeners
      @privileges = Privileges.new
      @upstreams = Upstreams.new
      @tls_identities = TlsIdentities.new
    end

    # Returns a configuration with the options of the command line only. It has no user to run as: a running process
    # cannot change its user again.
    # @return [Config]
    def command_line_only
      Config.new(@settings.command_line_only, @listeners.command_line_only)
    end

    # Drops root's privileges, after the logs and the directory of recordings were given to the new user.
    # @raise [StartError] if the system does not allow it
    def drop_privileges
      @settings.to_h.values_at(:access_log, :tls_key_log).each { |path| @privileges.own_log(path) }
      @privileges.own_directory(@settings.to_h[:record])
      @privileges.drop
    end

    # @return [Array<String>] what the log warns of at each load: certificates that have expired, or will soon
    def warnings
      @tls_identities.warnings
    end

    # @return [Array<String>] what the log warns of once: choices of the config that make secrets less secure
    def lasting_warnings
      key_log, recordings = @settings.to_h.values_at(:tls_key_log, :record)
      recording = "record keeps in #{recordings} what clients send that get no server: it may be secret." if recordings
      [*(TlsWarnings.line(:key_log, key_log) if key_log), *recording, *@tls_identities.lasting_warnings]
    end

    # @param first [String, nil] "host:port" of one more listener, before all others
    # @return [Array<Hash>] the listeners, each of which has a block
    # @raise [ConfigError] if a listener has no block, a block no listener, or a check no upstream
    def checked_listeners(first = nil)
      @upstreams.check
      @listeners.to_a(first).tap { |listeners| @blocks.check(listeners) }
    end
  end
end
