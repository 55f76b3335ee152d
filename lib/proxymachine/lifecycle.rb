# frozen_string_literal: true

require_relative "lifecycle/inherited_sockets"
require_relative "lifecycle/init_channel"
require_relative "lifecycle/pidfile"
require_relative "lifecycle/restart_command"
require_relative "lifecycle/systemd"
require_relative "lifecycle/upgrade"
require_relative "log"

class ProxyMachine
  # The life of a program from start to end, as operators and supervisors see it: pidfile, systemd's notifications, log
  # reopening, and upgrades from and to another process.
  # @api private
  class Lifecycle
    # @return [InheritedSockets]
    attr_reader :inherited

    # @param pidfile [String, nil]
    def initialize(pidfile)
      @pidfile = pidfile && Pidfile.new(pidfile)
      @inherited = InheritedSockets.new
      @log_files = Log::Files.new
    end

    # @return [Array] sockets that another process has bound: [[descriptor, address]]
    def sockets
      @inherited.sockets
    end

    # The sockets are bound.
    # @param privileges [Config::Privileges]
    # @raise [StartError] if the pidfile cannot be written
    def bound(privileges)
      @privileges = privileges
      Log.writer.prepare
      @inherited.import_ticket_keys
      @inherited.close
      # During an upgrade the predecessor still serves, and this process may yet fail.
      write_pidfile unless @inherited.predecessor?
    end

    # The program accepts connections.
    # @raise [StartError] if the program cannot take over; then the predecessor knows why
    def serving
      @inherited.check_predecessor # Before its pidfile is overwritten.
      write_pidfile if @inherited.predecessor?
      @inherited.take_over
      Systemd.ready
    rescue StartError => e
      failed(e.message)
      raise
    end

    # A drain begins. May be called from a trap.
    def stopping
      @upgrading&.cancel
      Systemd.stopping unless @upgrade
    end

    # @param text [String] one line about the program's work
    def show(text)
      Systemd.status(text) unless @upgrade
    end

    # Tells systemd that the config is reloaded while the block runs.
    def reloading
      Systemd.reloading
      yield
    ensure
      Systemd.ready
    end

    # Logs what a config that is in effect now warns of. Lasting warnings are logged once.
    # @param config [#warnings, #lasting_warnings] see Config
    def warn_of(config)
      lasting = config.lasting_warnings
      [*(lasting - (@lasting_warnings || [])), *config.warnings].each { |line| log(:warn, line) }
      @lasting_warnings = lasting
    end

    # Logs what a reload has loaded.
    # @param config [String] path of the config file
    # @param addresses [Array<String>]
    def reloaded(config, addresses)
      log(:info, "Reloaded #{Config::Loader.describe(config)}. Listening on #{addresses.join(", ")}.")
    end

    # Logs that a reload has changed nothing.
    # @param config [String] path of the config file
    # @param reason [String]
    def reload_failed(config, reason)
      log(:error, "Cannot reload #{Config::Loader.describe(config)}: #{reason}. What was loaded before goes on.")
    end

    # Logs a warning if a reload would change a setting that a reload cannot change.
    def warn_if_fixed(setting, running, wanted)
      return if running == wanted

      log(:warn, "#{setting} stays #{running || "none"}: #{wanted || "none"} takes a restart or an upgrade (USR2).")
    end

    # Starts the program once more, with this process's sockets.
    # @param server [#sockets, #stats, #counts, #reached_upstreams]
    # @yield once the new process serves, to hand over
    # @yieldreturn [Hash] see {PredecessorCounts#pass_on}
    # @return [Boolean] whether the new process serves
    def upgrade(server, &)
      @upgrading = Upgrade.new(server, @inherited.counts)
      log(:info, "Upgrading: starting #{RestartCommand.command.join(" ")}")
      pid = @upgrading.run(&)
      @upgrade = @upgrading
      Systemd.succeeded_by(pid)
      InitChannel.succeeded_by(pid, @upgrading.waiter)
      # After the supervisors know: a signal that follows this line must reach the new process, too.
      log(:info, "Upgraded: process #{pid} has taken over.")
      true
    rescue Upgrade::Failed => e
      return false.tap { refuse("upgrade") } if @upgrading.cancelled?

      log(:error, "Cannot upgrade: #{SafeInspect.message(e)}. This process goes on.")
      false
    ensure
      @upgrading = nil
    end

    # Logs that an action is refused because of the drain.
    # @param action [String, Symbol]
    def refuse(action)
      log(:warn, "Cannot #{action}: the server is ending.")
    end

    # Opens the log files again by their names.
    # @yield for further log files
    def reopen_logs(&)
      @log_files.reopen(&)
      log(:info, "Reopened the log files.")
    rescue SystemCallError, IOError, StartError => e
      log(:error, "Cannot reopen the log files: #{SafeInspect.message(e)}")
    end

    # Removes the traces of a process that does not serve any more.
    # @param server [#stats, #counts]
    def ended(server)
      @upgrade&.send_last_counts(server)
      @pidfile&.remove
    end

    # Tells the predecessor why this process does not serve.
    # @param reason [String]
    def failed(reason)
      @inherited.report_failure(reason)
    end

    # Writes to LOGGER. A logger that fails loses the line, and stops nothing else.
    def log(level, text) = Log.line(level, text)

    private

    def write_pidfile
      @pidfile&.write(@privileges)
    end
  end
end
