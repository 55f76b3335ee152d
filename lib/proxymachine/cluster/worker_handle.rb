# frozen_string_literal: true

require "socket"
require_relative "../lifecycle/new_process"
require_relative "bus_member"
require_relative "worker"

class ProxyMachine
  class Cluster
    # A worker process as the cluster sees it: a process id, and a channel for its reports and its orders.
    # @api private
    class WorkerHandle
      # Seconds that a worker may take to start serving.
      START_TIMEOUT = 60
      # Bytes of a report: the channel holds that many unread.
      REPORT_SIZE = 1 << 16
      private_constant :START_TIMEOUT, :REPORT_SIZE

      # @return [Integer]
      attr_reader :pid
      # @return [UNIXSocket]
      attr_reader :channel
      # @return [UNIXSocket] the main process's socket for the worker as a member of the Bus
      attr_reader :member
      # @return [String, nil] why the worker has ended, if it reported that
      attr_reader :reason

      # Forks a worker.
      # @param sockets [Array] [[descriptor, address, port]]
      # @param loader [Proc] loads the config and returns its Config
      # @param siblings [Array<WorkerHandle>] workers whose channels the new one closes
      # @param bus [Bus] of which the worker becomes a member
      # @yield in the worker, see Worker#initialize
      # @return [WorkerHandle]
      # @raise [StartError] if the system does not allow another process
      def self.start(sockets, loader, siblings, bus, &closing)
        bus.start
        ours, theirs = UNIXSocket.pair
        member, socket = UNIXSocket.pair
        pid = Lifecycle::NewProcess.fork do
          Lifecycle::NewProcess.lead_group
          [ours, member, *siblings.map(&:channel), bus].each(&:close)
          exit(Worker.new(theirs, sockets, BusMember.new(socket), &closing).run(loader))
        end
        bus.add(member)
        new(pid, ours, member)
      rescue SystemCallError, ThreadError => e
        [ours, member].compact.each(&:close)
        raise StartError, "cannot start a worker: #{SafeInspect.failure(e)}"
      ensure
        [theirs, socket].compact.each(&:close)
      end

      # @param pid [Integer]
      # @param channel [UNIXSocket]
      # @param member [UNIXSocket]
      def initialize(pid, channel, member)
        @pid = pid
        @channel = channel
        @member = member
      end

      # Waits until the worker serves.
      # @raise [StartError] if it does not
      def wait_until_serving
        raise StartError, "a worker failed: it does not serve within #{START_TIMEOUT} s" \
          unless @channel.wait_readable(START_TIMEOUT)

        word, reason = SafeInspect.utf8(@channel.gets.to_s.b).scrub.chomp.split(" ", 2)
        raise StartError, "a worker failed: #{reason || "it ended before it served"}" unless word == "ready"
      end

      # Orders the worker to end after its last connection, while others accept.
      def retire
        @channel.puts("retire")
      rescue SystemCallError
        nil # It has ended already.
      end

      # @param name [String] a signal's
      def signal(name)
        Process.kill(name, @pid)
      rescue Errno::ESRCH, Errno::EPERM
        nil # It has ended already, or the config has changed its user.
      end

      # Kills a worker that does not serve yet.
      def kill
        signal("KILL")
      end

      # Reaps the worker if it has ended. The handle is useless then.
      # @return [Process::Status, nil] nil while the worker runs
      def reap
        _, status = Process.wait2(@pid, Process::WNOHANG)
        return unless status

        @reason = last_report
        @channel.close
        status
      end

      private

      def last_report
        report = @channel.read_nonblock(REPORT_SIZE, exception: false)
        report[/^failed (.*)/, 1]&.force_encoding("UTF-8")&.scrub if report.is_a?(String)
      rescue SystemCallError
        nil # The worker has ended with unread orders, which resets the channel.
      end
    end
  end
end
