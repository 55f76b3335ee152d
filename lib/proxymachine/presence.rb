# frozen_string_literal: true

require_relative "inheritance"
require_relative "log_files"
require_relative "pidfile"
require_relative "systemd"
require_relative "upgrade"

class ProxyMachine
  # What the world knows of the program that runs: its pidfile, systemd, the process before it and the one after it.
  # @api private
  class Presence
    # @return [Inheritance]
    attr_reader :inheritance

    # @param pidfile [String, nil]
    def initialize(pidfile)
      @pidfile = pidfile && Pidfile.new(pidfile)
      @inheritance = Inheritance.new
      @log_files = LogFiles.new
    end

    # @return [Array] sockets that another process has bound: [[descriptor, address]]
    def sockets
      @inheritance.sockets
    end

    # The sockets are bound.
    # @param privileges [Privileges]
    # @raise [StartError] if the pidfile cannot be written
    def opened(privileges)
      @privileges = privileges
      @inheritance.close
      # The one before still serves, and this one may yet fail.
      write_pidfile unless @inheritance.predecessor?
    end

    # Whoever connects is served.
    # @yieldparam max [Integer] connections at once that another process counted
    # @yieldparam total [Integer] connections that it counted
    # @yieldparam counts [String, nil] what its admin showed
    # @raise [StartError] if it cannot take over; then the process before knows why
    def started(&)
      @inheritance.confirm # Or its pidfile would be lost.
      write_pidfile if @inheritance.predecessor?
      @inheritance.take_over(&)
      Systemd.started
    rescue StartError => e
      failed(e.message)
      raise
    end

    # It has been told to end. May be called from a trap.
    def stopping
      @upgrading&.cancel
      Systemd.stopping unless @upgrade
    end

    # @param text [String] one line about what it does
    def show(text)
      Systemd.status(text) unless @upgrade
    end

    # A config is reloaded while the block runs.
    def reloading
      Systemd.reloading
      yield
    ensure
      Systemd.started
    end

    # Says so if a reload would have to change a setting that it cannot change.
    def warn_if_stays(setting, running, wanted)
      return if running == wanted

      say(:warn, "#{setting} stays #{running || "none"}: #{wanted || "none"} takes a restart or an upgrade (USR2).")
    end

    # Starts the program once more.
    # @param server [#sockets, #hand_over, #stats, #counts]
    # @return [Boolean] whether that serves now
    def upgrade(server)
      @upgrading = Upgrade.new(server)
      say(:info, "Upgrading: starting #{Program.command.join(" ")}")
      pid = @upgrading.run
      say(:info, "Upgraded: process #{pid} has taken over.")
      @upgrade = @upgrading
      Systemd.succeeded_by(pid)
      true
    rescue Upgrade::Failed => e
      @upgrading.cancelled? ? refuse("upgrade") : say(:error, "Cannot upgrade: #{e.message}. This process goes on.")
      false
    ensure
      @upgrading = nil
    end

    # Says why nothing comes of a wish any more.
    # @param wish [String, Symbol]
    def refuse(wish)
      say(:warn, "Cannot #{wish}: the server is ending.")
    end

    # Opens the log files once more.
    # @yield for those that this does not know of
    def reopen(&)
      @log_files.reopen(&)
      say(:info, "Reopened the log files.")
    rescue SystemCallError, IOError, StartError => e
      say(:error, "Cannot reopen the log files: #{e.message}")
    end

    # It does not run any more.
    # @param server [#stats, #counts]
    def ended(server)
      @upgrade&.ended(server)
      @pidfile&.remove
    end

    # Why it did not start, for the process that waits for it.
    # @param reason [String]
    def failed(reason)
      @inheritance.fail(reason)
    end

    # A logger that fails costs its lines only.
    def say(level, text)
      LOGGER.public_send(level, text)
    rescue StandardError
      nil
    end

    private

    def write_pidfile
      @pidfile&.write(@privileges)
    end
  end
end
