# frozen_string_literal: true

require "socket"
require_relative "../new_thread"
require_relative "init_channel"
require_relative "message"
require_relative "new_process"
require_relative "predecessor"
require_relative "restart_command"
require_relative "ticket_keys"
require_relative "working_directory"

class ProxyMachine
  class Lifecycle
    # Upgrades without downtime: starts the program again with all listening sockets, and waits until the new process
    # serves. InheritedSockets is the new process's side of the channel.
    # @api private
    class Upgrade
      # The reason why the new process does not serve.
      class Failed < StandardError; end

      # Seconds that the new process may take to start serving.
      START_TIMEOUT = 60
      # The environment variable with the descriptors of the channel and of the sockets.
      VARIABLE = "PROXYMACHINE_INHERITANCE"
      private_constant :START_TIMEOUT

      # @return [Process::Waiter, nil] waits for the new process; nil if that is not a child of this one
      attr_reader :waiter

      # @param server [#sockets, #stats, #counts, #reached_upstreams] see Server
      # @param predecessor_counts [PredecessorCounts]
      def initialize(server, predecessor_counts)
        @server = server
        @predecessor_counts = predecessor_counts
      end

      # Starts the new process.
      # @yield once the new process serves, to hand over
      # @yieldreturn [Hash] see {PredecessorCounts#pass_on}
      # @return [Integer] the id of the new process, which serves
      # @raise [Failed] if it does not serve
      def run
        @channel, theirs = UNIXSocket.pair
        tickets = TicketKeys.export
        @successors_descriptor = theirs.fileno
        @predecessor_counts.lend { |earlier| start(theirs, tickets, earlier) }
        theirs.close # The channel must end when the new process ends.
        pid = wait_until_ready
        send_counts(@server, yield)
        pid
      rescue SystemCallError, ThreadError => e
        raise Failed, SafeInspect.failure(e)
      ensure
        [theirs, tickets].compact.each(&:close)
        @channel&.close unless pid
      end

      # Stops the new process because this one drains. May be called from a trap.
      def cancel
        return if @is_ready # The new process has clients of its own.

        @is_cancelled = true
        @channel&.shutdown # Ends the wait for a report.
        terminate if @pid
      rescue SystemCallError, IOError
        nil # The upgrade has failed already.
      end

      # Whether the upgrade failed because of #cancel.
      def cancelled? = @is_cancelled

      # Tells the new process what was counted until the end.
      # @param server [#stats, #counts]
      def send_last_counts(server)
        send_counts(server)
        @channel.close
      end

      private

      def start(channel, tickets, earlier)
        sockets = @server.sockets.map { |fd, address,| [fd, address] }
        init = InitChannel.io&.fileno
        variables = { VARIABLE => Message.text(inheritance(channel, sockets, tickets, earlier)),
                      InitChannel::VARIABLE => init&.to_s }
        inherited = [channel.fileno, *earlier, tickets.fileno, *init, *sockets.map(&:first)].to_h { |fd| [fd, fd] }
        options = { chdir: WorkingDirectory.path, close_others: true }.compact.merge(inherited)
        @pid = NewProcess.spawn(variables, *RestartCommand.command, options)
        NewThread.check
        @waiter = Process.detach(@pid)
      rescue ThreadError
        Process.kill(:KILL, @pid) # It does not serve yet.
        Process.wait(@pid)
        raise
      end

      # Returns what the new process finds in the environment.
      def inheritance(channel, sockets, tickets, earlier)
        { channel: channel.fileno, earlier: earlier, sockets: sockets, tickets: tickets.fileno,
          reached: @server.reached_upstreams, pids: [Process.pid, *Predecessor.pids] }
      end

      # Reads the new process's reports: "started PID" if it continues in a child process, then "ready PID" or
      # "failed REASON". If the process dies, the channel ends.
      def wait_until_ready
        readable = @channel.wait_readable(START_TIMEOUT)
        word, rest = readable && SafeInspect.utf8(@channel.gets.to_s.b).scrub.chomp.split(" ", 2)
        if word == "ready" && !@is_cancelled
          @is_ready = true
          return rest.to_i
        end
        if word == "started"
          @pid = rest.to_i
          @waiter = nil # The process is not a child of this one.
          return wait_until_ready
        end
        terminate if !readable || @is_cancelled
        raise Failed, reason(readable, word, rest)
      end

      def terminate
        Process.kill(:TERM, @pid)
      rescue Errno::ESRCH
        nil # It has ended, or it has become a daemon with another process id.
      end

      def reason(readable, word, rest)
        return "the server is ending" if @is_cancelled
        return "the new process does not serve within #{START_TIMEOUT} s" unless readable
        return rest if word == "failed"

        how = @waiter && " (#{@waiter.join(1)&.value || "it became a daemon"})"
        "the new process ended before it served#{how}"
      end

      # Sends the connections since the last time, and what the admin shows: see PredecessorCounts.
      def send_counts(server, passed_on = {})
        _, max, total = server.stats
        counts = { @successors_descriptor => server.counts, **passed_on }.compact
        @channel.puts(Message.text([max, total - (@sent_total || 0), counts]))
        @sent_total = total
      rescue SystemCallError
        nil # The new process has ended.
      end
    end
  end
end
