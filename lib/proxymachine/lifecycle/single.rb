# frozen_string_literal: true

require_relative "../lifecycle"
require_relative "../new_thread"
require_relative "runner"
require_relative "signals"

class ProxyMachine
  class Lifecycle
    # The runner of a program with one process. HUP reloads the config, USR1 reopens the log files, USR2 upgrades.
    # @api private
    class Single < Runner
      # The signals and their actions.
      ACTIONS = { "HUP" => :reload, "USR1" => :reopen, "USR2" => :upgrade }.freeze
      private_constant :ACTIONS

      # @param config [String] path of the config file
      # @param pidfile [String, nil]
      def initialize(config, pidfile = nil)
        super()
        @config = config
        @lifecycle = Lifecycle.new(pidfile)
        @lock = Mutex.new
      end

      # Installs the traps of HUP, USR1 and USR2 before the config is loaded, which may replace them by its own.
      def install_traps
        ACTIONS.each do |signal, action|
          # A trap may neither log nor lock, so a thread acts.
          Signals.on(signal) do
            NewThread.start { perform(action) }
          rescue ThreadError => e
            @server&.warn("Cannot #{action}: #{SafeInspect.failure(e)}")
          end
        end
        # Until ProxyMachine.run installs its own trap, QUIT exits instead of dumping core.
        Signals.on("QUIT") { exit }
      end

      # @return [Array] sockets that another process has bound: [[descriptor, address]]
      def sockets = @lifecycle.sockets

      # @param server [Server]
      # @raise [StartError] if the pidfile cannot be written
      def bound(server)
        @lifecycle.bound(ProxyMachine.configuration.privileges)
        @server = server
      end

      # Takes over from the process before, if there is one.
      def serving
        @lifecycle.serving
        predecessor_counts.receive do |*counted|
          @server.carry_over(*counted)
          ProxyMachine.update_procline # Otherwise the title stays wrong until the next connection.
        end
        @lifecycle.warn_of(ProxyMachine.configuration)
        @server.own_socket_files # Until now the process before might have gone on.
      rescue StartError => e
        # The process before goes on. Clients that have connected in the meantime are served.
        @stopping = true
        @lifecycle.log(:error, "Cannot take over: #{SafeInspect.message(e)}.")
        @server.hand_over(keep_files: false)
        @server.drain("QUIT", upgrade_timeout)
      end

      # @param stats [String] "current/most at once/total"
      def show(stats) = @lifecycle.show("#{stats} cur/max/tot connections")

      # Refuses reloads and upgrades from now on.
      def stopping
        @stopping = true
        @lifecycle.stopping
      end

      # @param reason [String]
      def failed(reason) = @lifecycle.failed(reason)

      # Removes the traces of a process that does not serve any more.
      def ended = @lifecycle.ended(@server)

      private

      def perform(action)
        @lock.synchronize do
          next unless @server # The config is being loaded for the first time, so it is the newest.

          @stopping && action != :reopen ? @lifecycle.refuse(action) : send(action)
        end
      end

      # An error in the new config, even an exit, leaves the running one in effect.
      def reload
        reason = "it ends the thread that loads it"
        @lifecycle.reloading do
          next @lifecycle.refuse("reload") unless WorkingDirectory.follow { replace_config }

          @lifecycle.reloaded(@config, @server.addresses)
          @lifecycle.warn_of(ProxyMachine.configuration)
        end
        reason = nil
      rescue Exception => e # rubocop:disable Lint/RescueException
        reason = Config::Loader.failure(e, @config)
      ensure
        # The end of the server ends the thread, too.
        reload_failed(reason) if reason && !@stopping
      end

      # @return [Boolean] false if a drain began while the config was loaded
      def replace_config
        candidate = load_candidate
        return false if @stopping

        warn_of_fixed_settings(candidate.settings.to_h)
        ProxyMachine.commit(candidate)
        true
      end

      # The server's own traps of QUIT, TERM and INT replace those of the config.
      def load_candidate
        Config::Loader.load_candidate(@config)
      ensure
        Signals.renew
      end

      # A config that failed may have assigned another LOGGER.
      def reload_failed(reason)
        @server.open_logs(ProxyMachine.configuration)
      rescue Error
        nil
      ensure
        @lifecycle.reload_failed(@config, reason)
      end

      def warn_of_fixed_settings(wanted)
        running = ProxyMachine.configuration.settings.to_h
        %i[threads admin].each { |name| @lifecycle.warn_if_fixed(name, running[name], wanted[name]) }
      end

      def reopen = @lifecycle.reopen_logs { @server.reopen_logs }

      def upgrade
        has_succeeded = @lifecycle.upgrade(@server) do
          @server.hand_over
          predecessor_counts.pass_on
        end
        return unless has_succeeded

        ProxyMachine.drain("USR2", upgrade_timeout)
      end

      def upgrade_timeout = ProxyMachine.configuration.settings.to_h[:upgrade_timeout]

      def predecessor_counts = @lifecycle.inherited.counts
    end
  end
end
