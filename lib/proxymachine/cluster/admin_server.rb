# frozen_string_literal: true

require_relative "../lifecycle/message"
require_relative "../lifecycle/new_process"
require_relative "../log"

class ProxyMachine
  class Cluster
    # What runs in the AdminProcess: serves the admin address, and obeys the cluster.
    # @api private
    class AdminServer
      # @param engine [Engine] an engine that must not run
      # @param predecessor_counts [Lifecycle::PredecessorCounts]
      # @param channel [UNIXSocket] to the cluster
      def initialize(engine, predecessor_counts, channel)
        @engine = engine
        @predecessor_counts = predecessor_counts
        @channel = channel
      end

      # Serves until the cluster ends, which closes the channel. Does not return.
      # @param directory [String] of the workers' admin sockets
      # @param receives [Boolean] whether the cluster has taken over from the processes before
      def run(directory, receives:)
        Lifecycle::NewProcess.lead_group
        %w[QUIT TERM INT HUP USR1 USR2].each { |signal| trap(signal, "IGNORE") }
        trap("CHLD", "DEFAULT")
        $0 = "proxymachine #{VERSION} - admin"
        @engine.aggregate(directory)
        receive if receives
        while (order = @channel.gets)
          obey(order.chomp)
        end
      rescue SystemCallError
        nil # The cluster has just ended.
      rescue StandardError => e
        Log.line :error, "Cannot show the admin: #{SafeInspect.message(e)}"
      ensure
        exit!(0)
      end

      private

      def obey(order)
        case order
        when "receive" then receive
        when "stop" then reply(stop)
        when "counts" then reply(@engine.counts)
        end
      end

      def reply(value) = @channel.puts(Lifecycle::Message.text(value))

      def receive
        @predecessor_counts.receive do |_max, _total, counts|
          counts.each { |process, json| @engine.carry_counts(process, json) }
        end
      end

      def stop
        @engine.stop_admin
        @predecessor_counts.pass_on
      end
    end
  end
end
