# frozen_string_literal: true

require_relative "admin"
require_relative "config"
require_relative "log"
require_relative "server/descriptor_limit"
require_relative "server/drain_watchdog"
require_relative "server/handler"
require_relative "server/thread_pool"
require_relative "upstreams/supervisor"

class ProxyMachine
  # One run of the engine on the calling thread, from binding the sockets to the end of the last connection.
  # @api private
  class Server
    # @param config [Config]
    # @param first [String, nil] "host:port" of one more listener, before all others
    # @param inherited [Array] sockets that another process has bound: [[descriptor, address]]
    # @raise [ConfigError] if a listener has no block, or a block no listener
    # @raise [StartError] if an address cannot be listened on
    def initialize(config, first = nil, inherited = [])
      @config = config
      # Neither changes by a reload. The descriptors are counted before connections are open.
      @fixed_settings = config.settings.to_h.slice(:threads, :admin)
      @capacity = DescriptorLimit.connections(admin: @fixed_settings[:admin])
      for_admin, for_clients = Admin.split(inherited, @fixed_settings[:admin])
      @engine = Engine.listen(config.checked_listeners(first), engine_config(config), for_clients)
      @admin = Admin.new(@engine, @fixed_settings[:admin], for_admin)
      @handler = Handler.new
      @upstreams = Upstreams::Supervisor.new(@engine, ProxyMachine.runner.bus)
      @watchdog = DrainWatchdog.new(@engine, @handler)
      open_logs(config)
    end

    # This process removes the files of inherited Unix sockets.
    def own_socket_files = @engine.own_socket_files

    # @return [Array<Integer>] connections now, most at once, and in all
    def stats = @engine.stats

    # @return [String, nil] what the admin shows, for the next process
    def counts = @engine.counts

    # @return [Array<String>] where the server listens, with the ports that the system chose for port 0
    def addresses = Config::Listeners.addresses(@engine.sockets)

    # @return [Array] sockets for another process to inherit: [[descriptor, address, port]]
    def sockets = @engine.sockets + @engine.unused_sockets + @admin.sockets

    # Adds the counts of the processes before. See {Lifecycle::PredecessorCounts#receive}.
    def carry_over(max, total, counts)
      @engine.carry_over(max, total)
      counts.each { |process, json| @engine.carry_counts(process, json) }
    end

    # Puts another configuration into effect, for new connections and new decisions.
    # @param config [Config]
    # @yield when nothing can fail any more, before the engine uses the new listeners
    # @raise [ConfigError, StartError] if that is not possible; then the running configuration stays
    def reload(config)
      Upstreams::Lister.load(config.upstreams, @config.upstreams.lists)
      @engine.prepare(config.checked_listeners, engine_config(config))
      open_logs(config)
      config.blocks.replace(@config.blocks)
      @config = config
      yield
      @engine.apply
      @upstreams.start(config.upstreams)
      show(config)
    rescue Exception # rubocop:disable Lint/RescueException -- it is raised again
      @engine.discard
      raise
    end

    # Opens the access log and the TLS key log again by their names.
    # @raise [StartError] if one cannot be written
    def reopen_logs
      @engine.reopen_access_log
      Engine.reopen_tls_key_log
    end

    # Opens the logs that a configuration asks for.
    # @param config [Config]
    # @raise [ConfigError] if LOGGER does not take the settings; then the access log stays as it was
    # @raise [StartError] if the access log or the TLS key log cannot be written
    def open_logs(config)
      settings = config.settings.to_h
      Log::Format.apply(LOGGER, settings)
      Log.writer.prepare
      @engine.record(settings[:record])
      Engine.open_tls_key_log(settings[:tls_key_log])
      @engine.open_access_log(settings[:access_log], settings[:log_format] == :json, settings[:log_connection_id])
    end

    # Binds the address of the admin.
    # @param name [String] the server's name, for the status page
    # @return [String, nil] the URL or the Unix socket; nil without an admin
    # @raise [StartError] if the address cannot be listened on
    def bind_admin(name)
      @admin.bind(name, @config.privileges).tap { show(@config) }
    end

    # Serves until a drain has ended.
    # @yield once the engine serves, and nothing can prevent the start any more
    # @return [Symbol] +:drained+, or +:forced+ if connections had to be cut off
    def run
      @handler.announcement = lambda do
        yield
        @upstreams.start(@config.upstreams)
      end
      @watchdog.supervise do
        @config.blocks.configure_engine(@engine)
        @upstreams.prepare(@config.upstreams)
        pool = ThreadPool.new(@engine, @handler, @fixed_settings[:threads])
        @watchdog.interruptible { @engine.run(@handler) }
      ensure
        @upstreams.stop
        pool&.stop
        @config.blocks.configure_engine(nil)
      end
      @engine.outcome
    end

    # @return [Array<String>] the names of the upstreams whose servers were started or reached
    def reached_upstreams = @upstreams.reached

    # Another process goes on after the next drain.
    # @param keep_files [Boolean] whether the files of this process's Unix sockets are the other one's, too
    def hand_over(keep_files: true)
      @upstreams.hand_over
      @engine.hand_over(keep_files)
    end

    # Whether the server runs.
    def serving? = @watchdog.supervising?

    # Logs a warning, if the server runs. May be called from a trap.
    # @param line [String]
    def warn(line)
      @engine.warn(line) if serving?
    end

    # Stops accepting, and ends #run after the last connection or after +limit+ seconds. May be called from a trap.
    # @param signal [String, Symbol] named in the log
    # @param limit [Numeric, nil] seconds
    def drain(signal, limit)
      @engine.drain(signal.to_s, limit)
      @watchdog.start
    end

    private

    def engine_config(config)
      settings_of(config).merge(upstreams: config.upstreams.to_a)
    end

    def show(config)
      @admin.show(settings_of(config))
      @admin.show_certificates(config.tls_identities.certificates)
    end

    def settings_of(config)
      settings = config.settings.to_h
      settings.merge(max_connections: settings[:max_connections] || @capacity, **@fixed_settings)
    end
  end
end
