# frozen_string_literal: true

require_relative "../lifecycle/runner"
require_relative "../lifecycle/signals"
require_relative "../log"
require_relative "../new_thread"

class ProxyMachine
  class Cluster
    # The runner of a worker process: loads the config, serves on the cluster's sockets and obeys the cluster's orders.
    # @api private
    class Worker < Lifecycle::Runner
      # @return [Array] sockets that the cluster has bound: [[descriptor, address]]
      attr_reader :sockets
      # @return [BusMember] its side of the cluster's bus
      attr_reader :bus

      # @param channel [UNIXSocket] to the cluster
      # @param sockets [Array] [[descriptor, address, port]]
      # @param bus [BusMember]
      # @yield when the worker has its own listeners, to close the parent's
      def initialize(channel, sockets, bus, &closing)
        super()
        @closing = closing
        @channel = channel
        @bus = bus
        @sockets = sockets.map { |fd, address,| [fd, address] }
        @log_files = Log::Files.new
      end

      # Serves until the last connection has ended.
      # @param loader [Proc] loads the config
      # @return [Integer] exit status
      def run(loader)
        install_traps
        ProxyMachine.runner = self
        Lifecycle::WorkingDirectory.follow(&loader)
        ProxyMachine.run("worker", nil, nil)
        0
      rescue SystemExit => e
        failed(Config::Loader.exited("the config", e.status)) unless @server
        e.status
      rescue Error => e
        failed(e.message)
        1
      rescue Exception => e # rubocop:disable Lint/RescueException -- the process ends with this exception
        failed("#{SafeInspect.message(e)} (#{e.class})")
        raise
      ensure
        leave_counts
        flush
      end

      # Remembers the server for reopening logs and for retiring. Closes the parent's listeners: a copy in this process
      # would keep a listener open that a reload or a drain closes.
      # @param server [Server]
      def bound(server)
        @closing.call(true)
        @server = server
      end

      # Reports to the cluster, and waits for an order from now on.
      def serving
        NewThread.start { obey }
        @channel.puts("ready #{Process.pid}")
      rescue SystemCallError
        nil # The cluster has ended: obey notices that.
      end

      # The cluster logs the addresses.
      def announces? = false

      # @param reason [String] why the worker does not serve
      def failed(reason)
        @channel.puts("failed #{SafeInspect.text("no reason given") { reason.lines.first.to_s.chomp }}")
      rescue SystemCallError
        nil # The cluster has ended.
      end

      private

      def flush
        $stdout.flush
      rescue SystemCallError, IOError
        nil # It is full, or the config has closed it.
      end

      def install_traps
        Lifecycle::Signals.on("USR1") { NewThread.start { reopen_logs } } # First: USR1's default ends the new worker.
        %w[HUP USR2].each { |signal| trap(signal, "IGNORE") }
        %w[QUIT TERM INT CHLD].each { |signal| trap(signal, "DEFAULT") }
      end

      def reopen_logs
        @log_files.reopen { @server&.reopen_logs }
      rescue SystemCallError, IOError, StartError => e
        Log.line :error, "Cannot reopen the log files: #{SafeInspect.message(e)}"
      end

      # The only order is to retire. If the cluster ends, its worker drains, too: no process would replace or stop it.
      def obey
        return ProxyMachine.drain("QUIT", nil) unless order?

        @server.hand_over
        ProxyMachine.drain("HUP", ProxyMachine.configuration.settings.to_h[:upgrade_timeout])
      end

      # Waits for an order. If the cluster has ended without reading what the worker sent, the channel is reset.
      def order?
        @channel.gets
      rescue SystemCallError
        nil
      end

      # Leaves the counts for the cluster's admin process, in a file beside the worker's admin socket.
      def leave_counts
        counts = @server&.counts or return
        socket = ProxyMachine.configuration.settings.to_h[:admin].delete_prefix("unix:")
        unfinished = "#{socket}.new"
        File.write(unfinished, counts)
        File.rename(unfinished, "#{socket}.last")
      rescue SystemCallError
        nil # The cluster has ended, and its directory is gone.
      end
    end
  end
end
