# frozen_string_literal: true

require_relative "cluster_admin"
require_relative "cluster_signals"
require_relative "extension"
require_relative "presence"
require_relative "preview"
require_relative "worker_processes"

class ProxyMachine
  # `--workers N`: a process that opens the sockets, and N of its children that serve them. It runs nothing of the
  # config and has no engine, so it can fork at any time; whoever ends is replaced.
  # @api private
  class Cluster
    # Seconds until a process that ended is replaced, so that one that cannot live does not keep a processor busy.
    PAUSE = 1
    # What asks for what, as long as it is not ending.
    WISHES = { "HUP" => :reload, "USR2" => :upgrade }.freeze
    private_constant :PAUSE, :WISHES

    # @param config [String] path of the config file
    # @param count [Integer] workers
    # @param pidfile [String, nil]
    # @param loader [Proc] loads the config and returns its Configuration
    def initialize(config, count, pidfile, loader)
      @config = config
      @count = count
      @loader = loader
      @presence = Presence.new(pidfile)
      @workers = WorkerProcesses.new(count, loader)
      @signals = ClusterSignals.new
    end

    # @return [Integer] exit status: 1 if a worker had to cut off connections
    def run
      @signals.install_traps { @presence.stopping }
      open
      @presence.started
      @engine.own_files
      @presence.show("#{@count} workers")
      $0 = "proxymachine #{VERSION} - #{name} - #{@count} workers"
      @presence.say(:info, "Serving with #{@count} workers. #{listening}")
      @presence.say(:info, "Metrics and status on #{@admin_url}") if @admin_url
      serve
    ensure
      @presence.ended(self)
      @admin&.stop
    end

    # For Upgrade.
    # @return [Array] [[descriptor, address, port]]
    def sockets = @engine.sockets + @admin.sockets

    # For Upgrade: another process goes on listening.
    def hand_over
      @engine.hand_over
      @admin.hide
    end

    # For Upgrade: each worker counts for itself.
    def stats = [0, 0, 0]

    # For Upgrade: what they have counted.
    def counts = @admin.counts

    private

    def name = File.basename(@config).chomp(".rb")

    def open
      preview = Preview.of(@loader, @presence.sockets)
      Descriptors.raise_limit
      of_admin, own = Admin.split(@presence.sockets, preview.admin)
      @engine = preview.open(own)
      @admin = ClusterAdmin.new(@engine, preview.admin, of_admin)
      @admin_url = @admin.bind(name, preview.privileges)
      @presence.opened(preview.privileges)
      preview.privileges.drop
      @admin.start([], @presence.inheritance)
      @workers.replace(@engine.sockets, @admin)
    rescue Error => e
      @presence.failed(e.message)
      raise
    end

    def listening = "Listening on #{Listeners.addresses(@engine.sockets).join(", ")}."

    def serve
      until @ending && @workers.empty?
        signal = @signals.next(!@ending && @workers.missing? ? PAUSE : nil)
        signal ? obey(signal) : fill
      end
      @status || 0
    end

    # What cannot be started now is tried again after a pause.
    def fill
      @workers.fill(@engine.sockets)
    rescue StartError => e
      @presence.say(:error, e.message)
    end

    def obey(signal)
      case signal
      when "CHLD" then @workers.reap { |*about| lost(*about) }
      when "USR1" then @presence.reopen && @workers.signal("USR1")
      when *WISHES.keys then grant(WISHES.fetch(signal))
      else finish(signal)
      end
    end

    def grant(wish) = @ending ? @presence.refuse(wish) : send(wish)

    def lost(status, was_serving, reason)
      @status = 1 if @ending && !status.success?
      return if @ending || !was_serving

      how = [status.to_s.delete_prefix("pid #{status.pid} "), *reason].join(": ")
      @presence.say(:error, "Worker #{status.pid} ended (#{how}). Another one takes its place.")
    end

    def reload
      @presence.reloading do
        preview = Preview.of(@loader, @engine.sockets)
        @presence.warn_if_stays(:admin, @admin.address, preview.admin)
        @workers.replace(preview.prepare(@engine))
        @engine.apply
        @presence.say(:info, "Reloaded #{@config}. #{listening}")
      end
    rescue Error => e
      @engine.discard
      @presence.say(:error, "Cannot reload #{@config}: #{e.message}. What was loaded before goes on.")
    end

    def upgrade
      return unless @presence.upgrade(self)

      @ending = true
      @workers.retire
    end

    def finish(signal)
      @ending = true
      @workers.signal(signal)
    end
  end
end
