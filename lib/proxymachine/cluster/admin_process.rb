# frozen_string_literal: true

require "socket"
require "tmpdir"
require_relative "../admin"
require_relative "../lifecycle/message"
require_relative "../lifecycle/new_process"
require_relative "admin_server"

class ProxyMachine
  class Cluster
    # The child process that serves the address of the setting +admin+: it shows the sums over all workers. Each worker
    # has an admin socket of its own in a directory that only this user can enter.
    # @api private
    class AdminProcess
      # Seconds that the process may take to report the counts.
      COUNTS_TIMEOUT = 5
      # Directories for the workers' admin sockets if there is none for temporary files, as in a container whose file
      # system is read-only.
      OTHER_DIRECTORIES = ["/dev/shm", "/run"].freeze
      # Bytes of a directory's name: the name of a Unix socket in it has 107 at most (unix(7)).
      LONGEST = 50
      private_constant :COUNTS_TIMEOUT, :OTHER_DIRECTORIES, :LONGEST

      # Makes a directory that only this user can enter.
      # @return [String]
      # @raise [SystemCallError] if no directory can be made
      def self.make_directory
        failures = [Dir.tmpdir, *OTHER_DIRECTORIES].filter_map do |parent|
          raise Errno::ENAMETOOLONG, parent if parent.bytesize > LONGEST

          return Dir.mktmpdir("proxymachine", parent)
        rescue SystemCallError => e
          e
        end
        raise failures.first
      rescue ArgumentError # Dir.tmpdir finds none.
        raise Errno::ENOENT, "set TMPDIR to a directory for temporary files"
      end

      # @return [String, nil] the setting +admin+
      attr_reader :address

      # @param engine [Engine] an engine that must not run
      # @param address [String, nil] the setting +admin+; with nil there is no process
      # @param inherited [Array] the admin's inherited sockets: [[descriptor, address]]
      # @param predecessor_counts [Lifecycle::PredecessorCounts]
      def initialize(engine, address, inherited, predecessor_counts)
        @engine = engine
        @predecessor_counts = predecessor_counts
        @address = address
        @admin = Admin.new(engine, address, inherited)
      end

      # @see Admin#bind
      def bind(name, privileges)
        @admin.bind(name, privileges)
      end

      # Starts the process if it is missing.
      # @param channels [Array<IO>] channels of workers, which the process closes
      # @raise [StartError] if the system does not allow another process
      def start(channels = [])
        return unless missing?

        @directory ||= self.class.make_directory
        ours, theirs = UNIXSocket.pair
        @pid = Lifecycle::NewProcess.fork do
          [ours, *channels].each(&:close)
          @engine.close_listeners(true)
          AdminServer.new(@engine, @predecessor_counts, theirs).run(@directory, receives: @receives)
        end
        @channel = ours
      rescue SystemCallError => e
        ours&.close
        raise StartError, "cannot start the admin: #{SafeInspect.failure(e)}"
      ensure
        theirs&.close
      end

      # Whether the process should run and does not.
      def missing?
        @address && !@pid
      end

      # The cluster has taken over: the processes before tell their counts from now on.
      def receive_counts
        @receives = true
        @address ? order("receive") : @predecessor_counts.close
      end

      # Stops serving the address, because another cluster serves it now.
      # @return [Hash] see {Lifecycle::PredecessorCounts#pass_on}
      def stop_serving
        @engine.hand_over(true) # This process has the address, too.
        ask("stop") || {}
      end

      # @return [String, nil] what the workers have counted; nil without an admin
      def counts = ask("counts")

      # Returns the setting +admin+ of a worker. To be asked in the worker.
      # @return [String, nil] nil without an admin
      def worker_address
        @address && "unix:#{@directory}/#{Process.pid}"
      end

      # @return [Array] [[descriptor, address, port]]
      def sockets
        @admin.sockets
      end

      # Reaps the process if it has ended.
      def reap
        return unless @pid && Process.wait(@pid, Process::WNOHANG)

        close_channel
        @pid = nil
      end

      # Ends the process.
      def stop
        Process.kill(:KILL, @pid) && Process.wait(@pid) if @pid
        FileUtils.rm_rf(@directory) if @directory
      end

      private

      def order(word)
        @channel&.puts(word)
      rescue SystemCallError
        nil # The process has just ended. The cluster starts it again.
      end

      # Returns the answer to an order; nil if there is none in time. A late one must not answer the next order.
      def ask(word)
        order(word)
        answer = @channel.gets if @channel&.wait_readable(COUNTS_TIMEOUT)
        answer ? Lifecycle::Message.parse(answer) : close_channel
      rescue SystemCallError
        close_channel
      end

      # Ends the process, too, unless it stands still.
      def close_channel
        @channel = @channel&.close
      end
    end
  end
end
