# frozen_string_literal: true

class ProxyMachine
  # See worker.rb.
  # @api private
  class Worker
    # What a worker knows of its cluster.
    # @api private
    class Operations
      # @return [Array] [[descriptor, address]]
      attr_reader :sockets

      def initialize(channel, sockets)
        @channel = channel
        @sockets = sockets.map { |fd, address,| [fd, address] }
        @log_files = LogFiles.new
      end

      # USR1 asks for the log files.
      def install_traps
        Signals.on("USR1") { Thread.new { reopen } }
      end

      # @param server [Server]
      def opened(server)
        @server = server
      end

      # Whoever connects is served.
      def started
        Thread.new { obey }
        @channel.puts("ready #{Process.pid}")
      rescue SystemCallError
        nil # The cluster has ended before: obey hears of it.
      end

      # The cluster says where it listens.
      def silent?
        true
      end

      # @param reason [String] why it does not serve
      def failed(reason)
        @channel.puts("failed #{Text.of("it does not say why") { reason.lines.first.to_s.chomp }}")
      rescue SystemCallError
        nil
      end

      # Leaves what was counted for the cluster's admin, beside the socket where it was shown.
      def leave
        counts = @server&.counts or return
        socket = ProxyMachine.configuration.settings.to_h[:admin].delete_prefix("unix:")
        unfinished = "#{socket}.new"
        File.write(unfinished, counts)
        File.rename(unfinished, "#{socket}.last")
      rescue SystemCallError
        nil # The cluster has ended before.
      end

      # The world is not told of each worker.
      def show(_stats); end

      # The cluster tells that.
      def stopping; end

      private

      def reopen
        @log_files.reopen { @server&.reopen }
      rescue SystemCallError, IOError, StartError => e
        LOGGER.error "Cannot reopen the log files: #{e.message}"
      end

      # Waits for one. A channel is reset if the cluster has ended before it read what came.
      def order?
        @channel.gets
      rescue SystemCallError
        nil
      end

      # Its end, too, is an order: nobody would replace, or end, this process any more.
      def obey
        return ProxyMachine.drain("QUIT", nil) unless order?

        @server.hand_over
        ProxyMachine.drain("HUP", ProxyMachine.configuration.settings.to_h[:upgrade_timeout])
      end
    end
  end
end
