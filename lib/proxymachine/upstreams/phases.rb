# frozen_string_literal: true

require "monitor"
require_relative "../log"
require_relative "phase"

class ProxyMachine
  module Upstreams
    # What is being done about the servers of each upstream, as all processes know it: +starting+, +started+, +stopping+
    # or +stopped+. Tells the engine, which holds clients meanwhile.
    # @api private
    class Phases
      # @param engine [Engine]
      # @yieldparam name [String] of an upstream whose servers were just started. The block must not lock.
      def initialize(engine, &after_start)
        @engine = engine
        @after_start = after_start
        @lock = Monitor.new
        @phases = {}
        @starts = Hash.new(0)
        # The upstreams whose new clients the engine holds because of a stop.
        @held = {}
      end

      # @param name [String]
      # @return [Integer] how many starts have ended
      def starts(name)
        @lock.synchronize { @starts[name] }
      end

      # @return [Array<Array(String, String)>] the upstreams with something that has not ended: [[name, phase]]
      def open
        @lock.synchronize { @phases.select { |_, phase| phase.open? }.transform_values(&:kind).to_a }
      end

      # The engine holds new clients from now on, since there was no connection for a while.
      # @param name [String]
      def held(name)
        @lock.synchronize { @held[name] = true }
      end

      # Has the engine hold new clients, if it has none.
      # @param name [String]
      # @return [Boolean] whether the servers may be stopped as far as this process is concerned
      def hold(name)
        @lock.synchronize { @held[name] ||= @engine.upstream_stopping(name) }
      end

      # Begins a phase.
      # @param phase [Phase]
      def begin(phase)
        return unless phase.for_this_process?

        name = phase.upstream
        @lock.synchronize do
          @phases[name] = phase if phase.change?
          case phase.kind
          when "starting" then @engine.upstream_starting(name)
          when "started" then started(phase)
          when "stopping" then hold(name)
          when "stopped" then stopped(name, phase.is_done)
          end
        end
      end

      private

      def started(phase)
        name = phase.upstream
        @starts[name] = phase.starts
        @engine.upstream_started(name, phase.is_done, [Log.now - phase.time, 0].max)
        @after_start&.call(name) if phase.is_done
      end

      # A stop that was not tried concerns the processes that hold clients.
      def stopped(name, is_done)
        was_held = @held.delete(name)
        @engine.upstream_stopped(name, is_done) if was_held || !is_done.nil?
      end
    end
  end
end
