# frozen_string_literal: true

class ProxyMachine
  class Cluster
    # The listeners, the settings and the user of a config, found out by loading the config in a child process. The
    # cluster's own process never runs the config.
    # @api private
    class ConfigProbe
      # Seconds that a config may take to load.
      LOAD_TIMEOUT = 60
      private_constant :LOAD_TIMEOUT

      # @return [Config::Privileges]
      attr_reader :privileges
      # @return [String, nil] the setting +admin+
      attr_reader :admin
      # @return [Array<String>] see Config#warnings and Config#lasting_warnings
      attr_reader :warnings, :lasting_warnings
      # @return [Hash{Symbol => Array<String>}] the servers that blocks of upstreams have listed
      attr_reader :lists

      # Loads the config in a child process.
      # @param path [String] the config's
      # @param loader [Proc] loads the config and returns its Config
      # @param inherited [Array] [[descriptor, address]]
      # @param lists [Hash{Symbol => Array<String>}] lists of servers that stay where a block fails
      # @return [ConfigProbe]
      # @raise [ConfigError] naming the config's error
      # @raise [StartError] if the system does not allow another process
      def self.run(path, loader, inherited, lists = {})
        ours, theirs = IO.pipe(binmode: true)
        pid = Lifecycle::NewProcess.fork do
          Lifecycle::NewProcess.lead_group
          ours.close
          theirs.write(Marshal.dump(probe(path, loader, inherited, lists)))
          exit!(0)
        end
        theirs.close
        result = await(ours, pid)
        result.is_a?(Hash) ? new(**result) : raise(ConfigError, result)
      rescue SystemCallError => e
        raise StartError, "cannot load the config in a child process: #{SafeInspect.failure(e)}"
      ensure
        [ours, theirs].compact.each(&:close)
      end

      # Reads the result before it waits for the process, which cannot end while more than the pipe holds is unread.
      def self.await(pipe, pid)
        is_loaded = pipe.wait_readable(LOAD_TIMEOUT)
        Process.kill(:KILL, pid) unless is_loaded
        result = is_loaded ? read_result(pipe) : "the config does not load within #{LOAD_TIMEOUT} s"
        status = Process.wait2(pid).last
        result || "the config ended the process that loaded it (#{status})"
      rescue StartError # raised by a signal that ends the program
        Process.kill(:KILL, pid)
        Process.wait(pid)
        raise
      end

      # Reads one object, not the whole pipe: a process that the config started may hold the pipe open.
      def self.read_result(pipe)
        Marshal.load(pipe) # rubocop:disable Security/MarshalLoad -- written by our own child
      rescue EOFError, ArgumentError
        nil # The process ended before it had written the result.
      end

      # Returns the parts of the config, or the text of its error.
      def self.probe(path, loader, inherited, lists)
        ProxyMachine.configuration.listeners.default_to_systemd(inherited)
        config = Lifecycle::WorkingDirectory.follow(&loader)
        # The cluster's own process accepts no client.
        listeners = config.checked_listeners.map { |listener| listener.except(:tls) }
        Upstreams::Lister.load(config.upstreams, lists)
        { listeners: listeners, settings: config.settings.to_h, privileges: config.privileges,
          warnings: config.warnings, lasting_warnings: config.lasting_warnings, lists: config.upstreams.lists }
      rescue Exception => e # rubocop:disable Lint/RescueException -- a config may raise anything
        Config::Loader.failure(e, path)
      end
      private_class_method :await, :read_result, :probe

      def initialize(listeners:, settings:, privileges:, warnings:, lasting_warnings:, lists:)
        @listeners = listeners
        @lists = lists
        @admin = settings[:admin]
        # The cluster's engine never runs, so it needs no room for connections.
        @settings = settings.merge(max_connections: 1, threads: 1)
        @privileges = privileges
        @warnings = warnings
        @lasting_warnings = lasting_warnings
      end

      # Binds the listeners, or takes over inherited sockets.
      # @param inherited [Array] [[descriptor, address]]
      # @return [Engine] an engine that must not run
      # @raise [StartError] if an address cannot be listened on
      def listen(inherited)
        Engine.listen(@listeners, @settings, inherited)
      end

      # Binds the listeners that an engine of #listen has not bound yet.
      # @return [Array] the sockets: [[descriptor, address, port]]
      # @raise [StartError] if an address cannot be listened on
      def prepare(engine)
        engine.prepare(@listeners, @settings)
      end
    end
  end
end
