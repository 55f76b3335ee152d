# frozen_string_literal: true

require_relative "worker"

class ProxyMachine
  # The workers of a Cluster: those that serve, and those that have retired and still have connections.
  # @api private
  class WorkerProcesses
    # @param count [Integer] how many are to serve
    # @param loader [Proc] loads the config and returns its Configuration
    def initialize(count, loader)
      @count = count
      @loader = loader
      @serving = []
      @retired = []
    end

    # Starts as many new ones. Those before retire when the new ones serve.
    # @param sockets [Array] [[descriptor, address, port]]
    # @param admin [ClusterAdmin, nil] what they show themselves to, from now on
    # @raise [StartError] if one of them does not serve
    def replace(sockets, admin = @admin)
      @admin = admin
      new = []
      new << start(sockets, new) while new.size < @count
      new.each(&:await)
      retire
      @serving = new
    rescue StartError
      @retired.concat(new.each(&:stop))
      raise
    end

    # Starts what is missing.
    # @raise [StartError] if the system does not allow it
    def fill(sockets)
      @serving << start(sockets, []) while too_few?
      @admin.start([*@serving, *@retired].map(&:channel))
    end

    # Whether one of them, or the process that shows them, is not there.
    def missing?
      too_few? || @admin.missing?
    end

    def empty?
      @serving.empty? && @retired.empty?
    end

    # Has those that serve end with their last connections, while others accept.
    def retire
      @retired.concat(@serving.each(&:retire))
      @serving = []
    end

    # Passes a signal on.
    def signal(name)
      [*@serving, *@retired].each { |worker| worker.signal(name) }
    end

    # Forgets those that have ended.
    # @yieldparam status [Process::Status]
    # @yieldparam was_serving [Boolean] whether it was to go on
    # @yieldparam reason [String, nil] why it has ended, if it knew
    def reap
      [[@serving, true], [@retired, false]].each do |workers, are_serving|
        workers.reject! do |worker|
          status = worker.status
          yield status, are_serving, worker.reason if status
          status
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
        ProxyMachine.configuration.settings.override(:admin, @admin.address_of_worker)
        @loader.call
      end
      Worker.start(sockets, loader, [*@serving, *@retired, *siblings])
    end
  end
end
