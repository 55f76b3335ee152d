# frozen_string_literal: true

require_relative "presence"

class ProxyMachine
  # What an operator wants of the program that runs: HUP, USR1 and USR2 ask for it.
  # @api private
  class Operations
    # What asks for what.
    SIGNALS = { "HUP" => :reload, "USR1" => :reopen, "USR2" => :upgrade }.freeze
    private_constant :SIGNALS

    # @param config [String] path of the config file
    # @param pidfile [String, nil]
    def initialize(config, pidfile = nil)
      @config = config
      @presence = Presence.new(pidfile)
      @lock = Mutex.new
    end

    # A config that has traps for them keeps its own.
    def install_traps
      SIGNALS.each do |signal, wish|
        # A trap may neither log nor lock, so a thread does.
        Signals.on(signal) do
          Thread.new { serve(wish) }
        rescue ThreadError => e
          @server&.warn("Cannot #{wish}: #{e.message}")
        end
      end
      Signals.on("QUIT") { exit } # While it starts: by itself the signal dumps core. Then Signals.handled counts.
    end

    # @return [Array] sockets that another process has bound: [[descriptor, address]]
    def sockets
      @presence.sockets
    end

    # The sockets are bound.
    # @raise [StartError] if the pidfile cannot be written
    def opened(server)
      @presence.opened(ProxyMachine.configuration.privileges)
      @server = server
    end

    # Whoever connects is served.
    def started
      @presence.started do |*counted|
        @server.carry_over(*counted)
        ProxyMachine.update_procline # It may be long until somebody connects.
      end
      @server.own_files # The one before may have gone on until now.
    rescue StartError => e
      # Who has connected in the meantime is served.
      @stopping = true
      @presence.say(:error, "Cannot take over: #{e.message}.")
      @server.drain("QUIT", MAX_FAST_SHUTDOWN_SECONDS)
    end

    # @param stats [String] "current/most at once/total"
    def show(stats)
      @presence.show("#{stats} cur/max/tot connections")
    end

    # It says itself where it listens.
    def silent?
      false
    end

    # It has been told to end.
    def stopping
      @stopping = true
      @presence.stopping
    end

    # It does not run any more.
    def ended
      @presence.ended(@server)
    end

    # Why it did not start.
    # @param reason [String]
    def failed(reason)
      @presence.failed(reason)
    end

    private

    def serve(wish)
      @lock.synchronize do
        next unless @server # The config that is loaded now is the newest.

        @stopping && wish != :reopen ? @presence.refuse(wish) : send(wish)
      end
    end

    # What goes wrong, even an exit in the config, must not touch what runs.
    def reload
      @presence.reloading do
        new = load
        next @presence.refuse(:reload) if @stopping # It was told so meanwhile.

        warn_of_what_stays(new.settings.to_h)
        ProxyMachine.replace(new)
        @presence.say(:info, "Reloaded #{@config}. Listening on #{@server.addresses.join(", ")}.")
      end
    rescue Exception => e # rubocop:disable Lint/RescueException
      reason = e.is_a?(Error) ? e.message : "#{e.message} (#{e.class})"
      keep_logs
      @presence.say(:error, "Cannot reload #{@config}: #{reason}. What was loaded before goes on.")
    end

    # The traps for the end are the server's, whatever the config has.
    def load
      ConfigFile.reload(@config)
    ensure
      Signals.renew
    end

    # A config that did not come to count may have assigned another LOGGER.
    def keep_logs
      @server.open_logs(ProxyMachine.configuration)
    rescue Error
      nil
    end

    def warn_of_what_stays(wanted)
      running = ProxyMachine.configuration.settings.to_h
      %i[threads admin].each { |name| @presence.warn_if_stays(name, running[name], wanted[name]) }
    end

    def reopen
      @presence.reopen { @server.reopen }
    end

    def upgrade
      return unless @presence.upgrade(@server)

      ProxyMachine.drain("USR2", ProxyMachine.configuration.settings.to_h[:upgrade_timeout])
    end
  end
end
