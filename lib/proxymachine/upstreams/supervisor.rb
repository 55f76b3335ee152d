# frozen_string_literal: true

require_relative "../new_thread"
require_relative "discovery"
require_relative "local_bus"
require_relative "monitoring"
require_relative "on_demand"
require_relative "phases"
require_relative "succession"

class ProxyMachine
  # The threads that run a config's Ruby for upstreams: checks, lists, +:start+ and +:stop+. What they find out goes to
  # the engine, which never waits for them.
  # @api private
  module Upstreams
    # The upstreams of one process. Of several workers one leads: its supervisor checks and lists, starts and stops, and
    # tells the others over the bus.
    # @api private
    class Supervisor
      # Seconds that threads may take to end.
      STOP_TIMEOUT = 1
      private_constant :STOP_TIMEOUT

      # @param engine [Engine]
      # @param bus [LocalBus, Cluster::BusMember]
      def initialize(engine, bus = LocalBus.new)
        @engine = engine
        @bus = bus
        @lock = Monitor.new
        @succession = Succession.new(engine)
        @phases = Phases.new(engine) { |name| @monitoring&.hurry(@discovery.upstreams[name.to_sym]) }
        @discovery = Discovery.new(engine, bus) { |upstream| @lock.synchronize { @monitoring&.follow(upstream) } }
        @on_demand = OnDemand.new(bus, @phases) { |name| @discovery.upstreams[name.to_sym] }
        engine.run_upstream_checks(bus.alone?) # Otherwise the bus will say so.
      end

      # Learns what other processes have found out, before the engine serves.
      # @param upstreams [Config::Upstreams]
      def prepare(upstreams)
        @lock.synchronize { @discovery.upstreams = upstreams }
        @engine.share_upstream_checks(events_of_any?(upstreams))
        @succession.inherit if @bus.alone?
        @bus.join(self)
      end

      # Begins when the engine serves, and continues with the upstreams of a reload. Only upstreams that need Ruby have
      # threads.
      # @param upstreams [Config::Upstreams]
      # @raise [ThreadError] if the system does not allow another thread
      def start(upstreams)
        @lock.synchronize do
          @discovery.upstreams = upstreams
          next if @is_stopped || (upstreams.none? && !@is_started)

          wait_for_events if events_of_any?(upstreams)
          @is_started ? monitor : start_first
        end
      end

      # Another process serves from now on.
      def hand_over = @succession.hand_over

      # @return [Array<String>] the names of the upstreams whose servers were started or reached, and not stopped since
      def reached = @succession.reached

      # Ends all threads.
      def stop
        threads = @lock.synchronize do
          @is_stopped = true
          [*@monitoring&.stop, *@on_demand.end_tasks, *@events&.kill]
        end
        @bus.stop
        limit = Log.now + STOP_TIMEOUT
        threads.each { |thread| thread.join([limit - Log.now, 0].max) }
      end

      # @!group The receiver of a bus

      # This process leads from now on, or another one.
      # @param is_leader [Boolean]
      # @param is_orphaned [Boolean] whether the leader before has ended
      def lead(is_leader, is_orphaned)
        @lock.synchronize do
          @is_leader = is_leader
          @engine.run_upstream_checks(is_leader)
          @on_demand.take_over if is_orphaned
          monitor
        end
      end

      # A process asks the leader.
      # @param kind [String]
      # @param name [String]
      # @param rest [Array]
      def request(kind, name, *rest)
        case kind
        when "start" then @on_demand.start(name, *rest)
        when "stop" then @on_demand.stop(name)
        when "answer" then @on_demand.answered(name, *rest)
        end
      end

      # Another process tells.
      # @param kind [String]
      # @param rest [Array]
      def message(kind, *rest)
        case kind
        when "phase" then @phases.begin(Phase.new(*rest))
        when "reached" then @engine.upstream_reached(rest.first) if rest.last
        when "may_stop" then @bus.request(["answer", *rest, @phases.hold(rest.first)])
        else @discovery.told(kind, *rest)
        end
      end

      # All others have got the question of this process.
      # @param others [Integer] how many
      def asked(others, _question, name, number) = @on_demand.asked(name, number, others)

      # @!endgroup

      private

      def start_first
        @is_started = true
        @bus.start(self)
      end

      # Whether the engine has events for Ruby about one of the upstreams.
      def events_of_any?(upstreams)
        upstreams.any? { |upstream| !@bus.alone? || upstream.events? }
      end

      def wait_for_events
        @engine.share_upstream_checks(true)
        @events ||= NewThread.start { loop { @engine.upstream_events(nil).each { |event| handle(*event) } } }
        @events.name = "proxymachine upstreams"
      end

      def handle(kind, name, *rest)
        case kind
        when :start then @bus.request(["start", name, @phases.starts(name), Process.pid])
        when :stop then stop_needed(name)
        when :reached then @bus.publish(["reached", name], ["reached", name, true])
        else @discovery.found(kind, name, *rest)
        end
      end

      # The connections of the processes before and after an upgrade count, too.
      def stop_needed(name)
        @phases.held(name)
        return @phases.begin(Phase.new("stopped", name)) if @succession.shares_servers?

        @bus.request(["stop", name])
      end

      # Checks and lists if this process leads.
      def monitor
        @monitoring&.stop
        @monitoring = nil
        return if !@is_leader || @is_stopped

        @discovery.retain
        @monitoring = Monitoring.new(@engine, @discovery)
      rescue ThreadError => e
        Log.line :error, "Cannot check or list the servers of upstreams: #{SafeInspect.failure(e)}"
      end
    end
  end
end
