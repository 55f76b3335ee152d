# frozen_string_literal: true

require_relative "../log"
require_relative "phases"
require_relative "poll"
require_relative "task"

class ProxyMachine
  module Upstreams
    # Starts the servers of upstreams when a client comes, and stops them when no connection was there for a while. The
    # engine of each process says when. The leader calls +:start+ and +:stop+, once in all: before a stop it asks all
    # processes whether they have clients, and those that have none hold new ones from then on.
    # @api private
    class OnDemand
      # Seconds that the other processes have to answer. One that does not might have clients.
      ANSWER_TIMEOUT = 5
      private_constant :ANSWER_TIMEOUT

      # @param bus [LocalBus, Cluster::BusMember]
      # @param phases [Phases]
      # @yieldparam name [String]
      # @yieldreturn [Config::Upstream, nil]
      def initialize(bus, phases, &find)
        @bus = bus
        @phases = phases
        @find = find
        @lock = Monitor.new
        # What is going on, by upstream: a Poll or a Task.
        @actions = {}
        @polls = 0
      end

      # Another leader begins. What the one before has begun and cannot end has failed.
      def take_over
        @lock.synchronize do
          @phases.open.each do |name, phase|
            next if @actions.key?(name)

            phase == "starting" ? started(name, false) : announce("stopped", name, false)
          end
        end
      end

      # Starts the servers of an upstream.
      # @param name [String]
      # @param starts [Integer] how many starts the asking process knows
      # @param process [Integer] the asking process
      def start(name, starts, process)
        @lock.synchronize do
          next if busy?(name)

          # The process has asked before it knew that the servers were started.
          known = @phases.starts(name)
          next tell(Phase.new("started", name, true, known, Log.now, process)) if starts < known

          announce("starting", name)
          call(:start, name) { |is_done| started(name, is_done) }
        end
      end

      # Stops the servers of an upstream if no process has clients.
      # @param name [String]
      def stop(name)
        @lock.synchronize do
          next if busy?(name)
          next announce("stopped", name, nil) unless @phases.hold(name)

          poll = @actions[name] = Poll.new(@polls += 1)
          @bus.ask(["may_stop", name, poll.number])
          Task.new { expire(name, poll) } if @actions[name].equal?(poll)
        end
      end

      # All others are asked whether they have clients.
      # @param name [String]
      # @param number [Integer] of the poll
      # @param others [Integer]
      def asked(name, number, others)
        with_poll(name, number) do |poll|
          poll.asked(others)
          stop_now(name) if poll.complete?
        end
      end

      # Another process has answered.
      # @param may_stop [Boolean]
      def answered(name, number, may_stop)
        with_poll(name, number) do |poll|
          next give_up(name) unless may_stop

          poll.answered
          stop_now(name) if poll.complete?
        end
      end

      # Ends all threads.
      # @return [Array<#join>] what may still be running
      def end_tasks
        @lock.synchronize do
          @is_over = true
          @actions.values.grep(Task).each(&:kill)
        end
      end

      private

      # Whether something goes on, here or in the process that was the leader before.
      def busy?(name) = @actions.key?(name) || @phases.open.assoc(name)

      def with_poll(name, number)
        @lock.synchronize do
          poll = @actions[name]
          yield poll if poll.is_a?(Poll) && poll.number == number
        end
      end

      def stop_now(name)
        announce("stopping", name)
        call(:stop, name) { |is_done| announce("stopped", name, is_done) }
      end

      def give_up(name)
        @actions.delete(name)
        announce("stopped", name, nil)
      end

      def expire(name, poll)
        sleep ANSWER_TIMEOUT
        with_poll(name, poll.number) { give_up(name) }
      end

      def started(name, is_done) = announce("started", name, is_done, @phases.starts(name) + 1, Log.now)

      # Calls +:start+ or +:stop+ on a thread of its own.
      # @yieldparam is_done [Boolean] whether it has returned
      def call(hook, name)
        upstream = @find.call(name)
        ended = lambda do |outcome|
          next if @is_over

          Log.line :error, "Upstream #{name}: its :#{hook} failed: #{outcome.reason}" if outcome.failure
          @lock.synchronize do
            @actions.delete(name)
            yield outcome.failure.nil?
          end
        end
        @actions[name] = Task.new(ended) { upstream&.call_hook(hook) }
      rescue ThreadError => e
        ended.call(Task::Outcome.new(nil, e))
      end

      def announce(*members)
        phase = Phase.new(*members)
        @phases.begin(phase)
        @bus.publish((["phase", phase.upstream] if phase.change?), ["phase", *phase])
        @bus.publish(["reached", phase.upstream], ["reached", phase.upstream, phase.kind == "started"]) if phase.is_done
      end

      def tell(phase)
        phase.for_this_process? ? @phases.begin(phase) : @bus.publish(nil, ["phase", *phase])
      end
    end
  end
end
