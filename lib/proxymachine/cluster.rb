# frozen_string_literal: true

require_relative "extension"
require_relative "lifecycle"
require_relative "cluster/admin_process"
require_relative "cluster/children"
require_relative "cluster/config_probe"
require_relative "cluster/drain_interrupt"
require_relative "cluster/signal_pipe"

class ProxyMachine
  # `--workers N`: the parent process binds the sockets, and N worker processes serve them. The parent runs neither the
  # config nor an engine, so it can fork at any time. It replaces workers that end.
  # @api private
  class Cluster
    # Seconds before a process that ended is replaced. A process that fails at once must not occupy a processor.
    RESPAWN_DELAY = 1
    # Signals that are refused once the cluster drains.
    ACTIONS = { "HUP" => :reload, "USR2" => :upgrade }.freeze
    private_constant :RESPAWN_DELAY, :ACTIONS

    # @param config [String] path of the config file
    # @param count [Integer] workers
    # @param pidfile [String, nil]
    # @param loader [Proc] loads the config and returns its Config
    def initialize(config, count, pidfile, loader)
      @config = config
      @count = count
      @loader = loader
      @lifecycle = Lifecycle.new(pidfile)
      @children = Children.new(count, loader) { |keep_files| @engine.close_listeners(keep_files) }
      @signals = SignalPipe.new
      @interrupt = DrainInterrupt.new { @lifecycle.stopping }
    end

    # Serves until all workers have ended.
    # @return [Integer] exit status: 1 if a worker had to cut off connections
    def run
      @signals.install_traps { @interrupt.request }
      @interrupt.allow { start }
      take_over
      @engine.own_socket_files
      @lifecycle.show("#{@count} workers")
      $0 = "proxymachine #{VERSION} - #{name} - #{@count} workers"
      @lifecycle.log(:info, "Serving with #{@count} workers. " \
                            "Listening on #{Config::Listeners.addresses(@engine.sockets).join(", ")}.")
      @lifecycle.log(:info, "Metrics and status on #{@admin_url}") if @admin_url
      handle_signals
    ensure
      @lifecycle.ended(self)
      @admin&.stop
      Log.writer.finish
    end

    # @!group The part of a server in an Upgrade

    # @return [Array] [[descriptor, address, port]]
    def sockets = @engine.sockets + @engine.unused_sockets + @admin.sockets

    # Each worker counts its own connections.
    def stats = [0, 0, 0]

    # @return [String, nil] what the workers have counted
    def counts = @admin.counts

    # @return [Array<String>]
    def reached_upstreams = @children.reached_upstreams

    # @!endgroup

    private

    def name = File.basename(@config).chomp(".rb")

    def start
      probe = ConfigProbe.run(@config, @loader, @lifecycle.sockets)
      Server::DescriptorLimit.raise_to_maximum
      for_admin, for_clients = Admin.split(@lifecycle.sockets, probe.admin)
      @engine = probe.listen(for_clients)
      @admin = AdminProcess.new(@engine, probe.admin, for_admin, @lifecycle.inherited.counts)
      @admin_url = @admin.bind(name, probe.privileges)
      @lifecycle.bound(probe.privileges)
      probe.privileges.drop
      @admin.start
      @children.replace(@engine.sockets, probe.lists, @admin)
      @lifecycle.warn_of(probe)
    rescue Error => e
      @lifecycle.failed(e.message)
      raise
    end

    # If that fails, the process before goes on. Clients that have connected to a worker must not notice.
    def take_over
      @lifecycle.serving
      @admin.receive_counts
    rescue StartError
      @children.retire
      raise
    end

    def handle_signals
      until @is_draining && @children.empty?
        signal = @signals.next(!@is_draining && @children.missing? ? RESPAWN_DELAY : nil)
        signal ? handle(signal) : respawn
      end
      @status || 0
    end

    # A process that cannot be started is tried again after RESPAWN_DELAY.
    def respawn
      @children.fill(@engine.sockets) unless @is_draining
    rescue StartError => e
      @lifecycle.log(:error, e.message)
    end

    def handle(signal)
      case signal
      when *ACTIONS.keys then perform(ACTIONS.fetch(signal))
      when "CHLD" then @children.reap { |*about| reaped(*about) }
      when "USR1" then @lifecycle.reopen_logs && @children.signal(signal)
      else drain(signal)
      end
    end

    def perform(action) = @is_draining || @interrupt.requested? ? @lifecycle.refuse(action) : send(action)

    def reaped(status, was_serving, reason)
      @status = 1 if @is_draining && !status.success?
      return if @is_draining || !was_serving

      how = [status.to_s.delete_prefix("pid #{status.pid} "), *reason].join(": ")
      @lifecycle.log(:error, "Worker #{status.pid} ended (#{how}). Another one takes its place.")
    end

    def reload
      @lifecycle.reloading do
        probe = @interrupt.allow { ConfigProbe.run(@config, @loader, @engine.sockets, @children.lists) }
        @lifecycle.warn_if_fixed(:admin, @admin.address, probe.admin)
        @interrupt.allow { @children.replace(probe.prepare(@engine), probe.lists) }
        @engine.apply
        @lifecycle.reloaded(@config, Config::Listeners.addresses(@engine.sockets))
        @lifecycle.warn_of(probe)
      end
    rescue Error => e
      @engine.discard
      @interrupt.requested? ? @lifecycle.refuse(:reload) : @lifecycle.reload_failed(@config, e.message)
    end

    def upgrade = (@is_draining = @lifecycle.upgrade(self) { @admin.stop_serving }) && @children.hand_over

    def drain(signal) = (@is_draining = true) && @children.drain(signal)
  end
end
