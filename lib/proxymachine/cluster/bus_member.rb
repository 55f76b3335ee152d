# frozen_string_literal: true

require "json"
require_relative "../new_thread"

class ProxyMachine
  class Cluster
    # A worker's side of the Bus.
    # @api private
    class BusMember
      # @param socket [UNIXSocket]
      def initialize(socket)
        @socket = socket
        @lock = Mutex.new
      end

      # Whether there are no other processes.
      def alone? = false

      # Receives the last message of each topic on the calling thread, before this process serves.
      # @param receiver [#message]
      def join(receiver)
        while (line = @socket.gets)
          kind, *rest = JSON.parse(line)
          return if kind == "joined"

          receive(receiver, kind, *rest)
        end
      rescue SystemCallError
        nil # The main process has ended, and so will this one.
      end

      # Receives messages on a thread of its own, until the main process ends.
      # @param receiver [#lead, #message, #request, #asked]
      # @raise [ThreadError] if the system does not allow another thread
      def start(receiver)
        @thread = NewThread.start { @socket.each_line { |line| receive(receiver, *JSON.parse(line)) } }
        @thread.name = "proxymachine bus"
        @thread.report_on_exception = false
      end

      # Ends the thread.
      def stop
        @thread&.kill&.join
      end

      # Sends a message to all other workers, and the last one of its topic to those that start later.
      # @param topic [Array<String>, nil]
      # @param message [Array]
      def publish(topic, message)
        send_line(["publish", topic, message])
      end

      # Sends a message to all other workers. The receiver's +asked+ is called with their number.
      # @param message [Array]
      def ask(message)
        send_line(["ask", message])
      end

      # Sends a message to the leader, which may be this worker.
      # @param message [Array]
      def request(message)
        send_line(["request", message])
      end

      # Drops the topics of all other names, and the states of other servers.
      # @param servers [Hash{String => Array<String>}] the servers with states, by the names of their upstreams
      def retain(servers)
        send_line(["retain", servers])
      end

      private

      def receive(receiver, kind, *rest)
        case kind
        when "lead" then receiver.lead(*rest)
        when "message" then receiver.message(*rest.first)
        when "request" then receiver.request(*rest.first)
        when "asked" then receiver.asked(rest.last, *rest.first)
        end
      end

      def send_line(message)
        @lock.synchronize { @socket.write("#{JSON.generate(message)}\n") }
      rescue SystemCallError, IOError
        nil # The main process has ended, and so will this one.
      end
    end
  end
end
