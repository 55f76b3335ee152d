# frozen_string_literal: true

require_relative "bus"
require_relative "worker_handle"

class ProxyMachine
  class Cluster
    # The child processes of a cluster: workers that serve, retired workers that still have connections, and the admin
    # process.
    # @api private
    class Children
      # @param count [Integer] workers that serve
      # @param loader [Proc] loads the config and returns its Config
      # @yield to close the listeners of the parent in this process, the parent or a worker that has its own
      # @yieldparam keep_files [Boolean] whether the files of Unix sockets stay
      def initialize(count, loader, &closing)
        @count = count
        @loader = loader
        @closing = closing
        @serving = []
        @retired = []
        @bus = Bus.new(Lifecycle::Predecessor.reached.to_h { |name| [["reached", name], ["reached", name, true]] })
        @lists = {}
      end

      # @return [Hash{Symbol => Array<String>}] the last lists of upstreams' servers
      def lists
        @lists.to_h { |name, servers| [name, @bus[["servers", name.to_s]]&.last || servers] }
      end

      # Starts a full set of workers, and retires the previous set once the new one serves.
      # @param sockets [Array] [[descriptor, address, port]]
      # @param lists [Hash{Symbol => Array<String>}] the servers that blocks of upstreams have listed
      # @param admin [AdminProcess] shows the workers from now on
      # @raise [StartError] if a worker does not serve; then the previous set goes on
      def replace(sockets, lists, admin = @admin)
        @admin = admin
        @lists = lists
        @bus.forget { |kind, _| kind == "servers" }
        new = []
        new << start(sockets, new) while new.size < @count
        new.each(&:wait_until_serving)
        retire
        @serving = new
        elect_leader
      rescue StartError
        @retired.concat(new.each(&:kill))
        raise
      end

      # Starts the processes that are missing. The parent, too, forgets the secrets of session tickets in time.
      # @raise [StartError] if the system does not allow another process
      def fill(sockets)
        Engine.rotate_ticket_keys
        if too_few?
          @serving << start(sockets, []) while too_few?
          elect_leader
        end
        @admin.start([*@serving, *@retired].map(&:channel))
      end

      # Retires all workers, and stops listening: another cluster serves.
      def hand_over
        retire
        @closing.call(true)
      end

      # Sends the workers the signal that begins a drain, and stops listening.
      def drain(name)
        signal(name)
        @closing.call(false)
      end

      # @return [Array<String>] the names of the upstreams whose servers were started or reached
      def reached_upstreams = @bus.names { |kind, _, is_reached| kind == "reached" && is_reached }

      # Whether a worker or the admin process is missing.
      def missing?
        too_few? || @admin.missing?
      end

      # Whether all workers have ended.
      def empty?
        @serving.empty? && @retired.empty?
      end

      # Orders all workers to end after their last connection.
      def retire
        @retired.concat(@serving.each(&:retire))
        @serving = []
      end

      # Passes a signal on to all workers.
      def signal(name)
        [*@serving, *@retired].each { |worker| worker.signal(name) }
      end

      # Reaps the processes that have ended.
      # @yieldparam status [Process::Status]
      # @yieldparam was_serving [Boolean] whether the worker had not been retired
      # @yieldparam reason [String, nil] why it has ended, if it reported that
      def reap
        [[@serving, true], [@retired, false]].each do |workers, are_serving|
          workers.reject! do |worker|
            status = worker.reap or next
            @bus.remove(worker.member)
            yield status, are_serving, worker.reason
            true
          end
        end
        @admin.reap
      end

      private

      def too_few?
        @serving.size < @count
      end

      def start(sockets, siblings)
        loader = lambda do
          ProxyMachine.configuration.settings.override(:admin, @admin.worker_address)
          @loader.call.tap { |config| config.upstreams.lists = @lists }
        end
        WorkerHandle.start(sockets, loader, [*@serving, *@retired, *siblings], @bus, &@closing)
      end

      # One worker does for all what the config's upstreams need once.
      def elect_leader
        @bus.elect(@serving.map(&:member))
      end
    end
  end
end
