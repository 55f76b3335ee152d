# frozen_string_literal: true

require_relative "inheritance"
require_relative "log_files"
require_relative "pidfile"
require_relative "systemd"
require_relative "upgrade"

class ProxyMachine
  # What an operator wants of the program that runs: HUP, USR1 and USR2 ask for it, systemd and the pidfile are told.
  class Operations
    # What asks for what.
    SIGNALS = { "HUP" => :reload, "USR1" => :reopen, "USR2" => :upgrade }.freeze
    private_constant :SIGNALS

    # @param config [String] path of the config file
    # @param pidfile [String, nil]
    def initialize(config, pidfile = nil)
      @config = config
      @pidfile = pidfile && Pidfile.new(pidfile)
      @inheritance = Inheritance.new
      @log_files = LogFiles.new
      @lock = Mutex.new
    end

    # Hears the signals. A config that has traps for them keeps its own.
    def hear
      SIGNALS.each do |signal, wish|
        # A trap may neither log nor lock, so a thread does.
        Signals.hear(signal) { Thread.new { serve(wish) } }
      end
    end

    # @return [Array] sockets that another process has bound: [[descriptor, address]]
    def sockets
      @inheritance.sockets
    end

    # The sockets are bound.
    # @raise [StartError] if the pidfile cannot be written
    def opened(server)
      @server = server
      @inheritance.close
      # The one before still serves, and this one may yet fail.
      write_pidfile unless @inheritance.predecessor?
    end

    # Whoever connects is served.
    def started
      write_pidfile if @inheritance.predecessor?
      @inheritance.take_over { |max, total| @server.engine.carry_over(max, total) }
      Systemd.started
    end

    # @param stats [String] what to tell about the connections
    def tell(stats)
      Systemd.status("#{stats} cur/max/tot connections") if @server && !@upgraded
    end

    # It has been told to end.
    def stopping
      @stopping = true
      Systemd.stopping unless @upgraded
    end

    # It does not run any more.
    def ended
      @upgrade&.ended(@server.stats)
      @pidfile&.remove
    end

    # Why it did not start, for the process that waits for it.
    # @param reason [String]
    def failed(reason)
      @inheritance.fail(reason)
    end

    private

    def write_pidfile
      @pidfile&.write(ProxyMachine.configuration.privileges)
    end

    def serve(wish)
      @lock.synchronize do
        next unless @server # The config that is loaded now is the newest.

        @stopping ? say(:warn, "Cannot #{wish}: the server is ending.") : send(wish)
      end
    end

    # What goes wrong, even an exit in the config, must not touch what runs.
    def reload
      Systemd.reloading
      new = ConfigFile.reload(@config)
      warn_of_what_stays(new.settings.to_h)
      ProxyMachine.replace(new)
      say(:info, "Reloaded #{@config}. Listening on #{@server.addresses.join(", ")}.")
    rescue Exception => e # rubocop:disable Lint/RescueException
      reason = e.is_a?(Error) ? e.message : "#{e.message} (#{e.class})"
      say(:error, "Cannot reload #{@config}: #{reason}. What was loaded before goes on.")
    ensure
      Systemd.started
    end

    # A logger that fails costs its lines only.
    def say(level, text)
      LOGGER.public_send(level, text)
    rescue StandardError
      nil
    end

    def warn_of_what_stays(wanted)
      running = ProxyMachine.configuration.settings.to_h
      %i[threads admin].each do |name|
        next if running[name] == wanted[name]

        values = [running, wanted].map { |settings| settings[name] || "none" }
        say(:warn, "#{name} stays #{values.first}: #{values.last} takes a restart or an upgrade (USR2).")
      end
    end

    def reopen
      @log_files.reopen
      say(:info, "Reopened the log files.")
    rescue SystemCallError, IOError => e
      say(:error, "Cannot reopen the log files: #{e.message}")
    end

    def upgrade
      upgrade = Upgrade.new(@server)
      say(:info, "Upgrading: starting #{Program.command.join(" ")}")
      pid = upgrade.run
      say(:info, "Upgraded: process #{pid} has taken over.")
      @upgrade = upgrade
      @upgraded = true
      Systemd.succeeded_by(pid)
      limit = ProxyMachine.configuration.settings.to_h[:upgrade_timeout]
      ProxyMachine.drain("USR2", limit)
    rescue Upgrade::Failed => e
      say(:error, "Cannot upgrade: #{e.message}. This process goes on.")
    end
  end
end
