# frozen_string_literal: true

class ProxyMachine
  # One run of the engine on the calling thread, from the bound socket to the last connection.
  class Server
    # Seconds that a block may go on after all connections have ended, or the log may wait for it.
    GRACE = 0.2
    # How often it is then asked to stop before the process ends without it.
    REQUESTS = 5
    private_constant :GRACE, :REQUESTS

    # What it listens on, with the ports that were taken where 0 was asked for.
    # @return [Array<String>]
    attr_reader :addresses

    # @param listeners [Array<Hash>] see Listeners#to_a
    # @param settings [Hash] see Settings#to_h
    # @raise [StartError] if an address cannot be listened on
    def initialize(listeners, settings)
      settings = settings.merge(max_connections: settings[:max_connections] || Descriptors.connections)
      @engine = Engine.listen(listeners, settings)
      @addresses = listeners.zip(@engine.ports).map do |listener, port|
        port ? listener[:address].sub(/\d*\z/, port.to_s) : listener[:address]
      end
      @handler = Handler.new
      @threads = settings[:threads]
      @lock = Mutex.new
    end

    # @return [Array<Integer>] connections: current, most at once, total
    def stats
      @engine.stats
    end

    # Serves until a drain is over.
    # @return [Symbol] +:drained+, or +:forced+ if connections had to be cut off
    def run
      @runner = Thread.current
      ProxyMachine.blocks.tell(@engine)
      workers = Workers.new(@engine, @handler, @threads)
      # Halt only arrives inside: not before, and not in the code of whoever called run.
      Thread.handle_interrupt(Handler::Halt => :never) do
        halted { @engine.run(@handler) }
      ensure
        @lock.synchronize { @runner = nil }
        workers&.stop
        ProxyMachine.blocks.tell(nil)
        @call_home&.kill&.join
        halted { Thread.pass } # One that was still under way.
        @engine.flush(@handler)
      end
      @engine.outcome
    end

    # Stops accepting, and ends +run+ when all connections have ended or +limit+ seconds are over.
    # May be called from a trap.
    def drain(signal, limit)
      @engine.drain(signal.to_s, limit)
      @call_home ||= Thread.new { call_home } # rubocop:disable Naming/MemoizedInstanceVariableName
    end

    private

    def halted(&block)
      Thread.handle_interrupt(Handler::Halt => :immediate, &block)
    rescue Handler::Halt
      nil
    end

    # A block that sleeps or spins must neither keep back the lines about the drain nor outlive the
    # connections: once they have ended, the thread that runs is called home.
    def call_home
      sleep GRACE
      # Whoever kills this thread must not take lines with it.
      Thread.handle_interrupt(Object => :never) { @engine.flush(@handler) }
      @engine.await_end
      REQUESTS.times do
        sleep GRACE
        @lock.synchronize do
          return unless @runner

          # Without an argument: Ruby 3.1 crashes if it is asked for a class while an exception is pending.
          @runner.raise(Handler::Halt) unless @runner.pending_interrupt?
        end
      end
      @engine.flush(@handler)
      exit!(@engine.outcome == :forced ? 1 : 0)
    end
  end
end
