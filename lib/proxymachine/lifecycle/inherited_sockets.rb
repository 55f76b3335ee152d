# frozen_string_literal: true

require "socket"
require_relative "../new_thread"
require_relative "message"
require_relative "new_process"
require_relative "predecessor"
require_relative "predecessor_counts"
require_relative "systemd"
require_relative "ticket_keys"
require_relative "upgrade"

class ProxyMachine
  class Lifecycle
    # The listening sockets that this process was started with. They come from systemd, or from the predecessor in an
    # upgrade: Upgrade is the predecessor's side of the channel.
    # @api private
    class InheritedSockets
      # @return [Array] [[descriptor, address]]
      attr_reader :sockets
      # @return [PredecessorCounts]
      attr_reader :counts

      def initialize
        inherited = ENV.delete(Upgrade::VARIABLE)
        @counts = PredecessorCounts.new
        inherited ? read(Message.parse(inherited)) : @sockets = Systemd.sockets
        @sockets.each { |fd,| close_on_exec(fd) }
      end

      # Whether a predecessor waits for this process to serve.
      def predecessor?
        !@channel.nil?
      end

      # Gives the engine the secret of session tickets of the predecessor, before a worker is forked or a client comes.
      def import_ticket_keys
        TicketKeys.import(@ticket_keys) if @ticket_keys
        @ticket_keys = nil
      end

      # Closes the inherited descriptors. The engine has duplicated those that it listens on.
      def close
        @sockets.each { |fd,| IO.for_fd(fd).close }
        @sockets = []
      end

      # Checks that the predecessor still waits. It sends nothing before this process is ready, so a readable channel
      # has been closed.
      # @raise [StartError] if it does not wait any more
      def check_predecessor
        predecessor_lost if @channel&.wait_readable(0)
      end

      # Tells the predecessor that this process serves.
      # @raise [StartError] if the predecessor does not wait any more
      def take_over
        return unless @channel

        send_line("ready #{Process.pid}")
        @channel = nil
      end

      # Tells the predecessor that this process does not serve.
      # @param reason [String]
      def report_failure(reason)
        @channel&.puts("failed #{reason.lines.first.chomp}")
      rescue SystemCallError
        nil # The predecessor has ended.
      end

      private

      def read(inherited)
        # A predecessor of an earlier version passes on no channels.
        channels = [inherited.fetch(:channel), *inherited[:earlier]].map { |fd| UNIXSocket.for_fd(fd) }
        @channel, = channels.each { |channel| channel.close_on_exec = true }
        @counts = PredecessorCounts.new(channels)
        @sockets = inherited.fetch(:sockets)
        Predecessor.remember(inherited)
        tickets = inherited[:tickets] # Nor these.
        @ticket_keys = TicketKeys.read(tickets) if tickets
        leave_parent if ENV["NOTIFY_SOCKET"]
      rescue StartError => e
        report_failure(e.message)
        raise
      end

      # Programs that the config starts must not inherit the listening sockets.
      def close_on_exec(descriptor)
        IO.for_fd(descriptor, autoclose: false).close_on_exec = true
      rescue SystemCallError
        nil # The engine reports an invalid descriptor.
      end

      # Continues in a child process, which systemd adopts. systemd kills a new main process that was not its own child
      # when MAINPID named it.
      def leave_parent
        exit!(0) if NewProcess.fork
        send_line("started #{Process.pid}")
      rescue SystemCallError => e
        raise StartError, "cannot become a child of systemd: #{SafeInspect.failure(e)}"
      end

      def send_line(line)
        @channel.puts(line)
      rescue SystemCallError
        predecessor_lost
      end

      def predecessor_lost
        raise StartError, "the process before has ended"
      end
    end
  end
end
