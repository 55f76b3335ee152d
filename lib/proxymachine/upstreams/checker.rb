# frozen_string_literal: true

require_relative "../log"
require_relative "../new_thread"
require_relative "check_result"
require_relative "task"

class ProxyMachine
  module Upstreams
    # Calls an upstream's +upstream_check+ block for each server: at once, then at each interval. Each call has a thread
    # of its own, so that one that hangs delays no other.
    # @api private
    class Checker
      # Calls at once. Each is a thread; thousands of servers must not be thousands of threads.
      MAX_RUNNING = 200
      # Seconds between two checks of a server that was just started.
      HURRIED_INTERVAL = 0.25
      private_constant :MAX_RUNNING, :HURRIED_INTERVAL

      # A server, the time of its next check, its running check, and the time at which that one has failed.
      Entry = Struct.new(:server, :due, :task, :deadline)
      private_constant :Entry

      # @param upstream [Config::Upstream]
      # @param servers [Array<String>]
      # @yieldparam server [String]
      # @yieldparam result [Boolean, Integer] whether the server is up; an Integer is its weight
      # @yieldparam reason [String, nil] why it is down
      # @raise [ThreadError] if the system does not allow another thread
      def initialize(upstream, servers, &report)
        @upstream = upstream
        @report = report
        @lock = Mutex.new
        @changed = ConditionVariable.new
        @waiting = []
        @running = []
        add(servers)
        @thread = NewThread.start { @lock.synchronize { schedule } }
        @thread.name = "proxymachine checks"
      end

      # Checks other servers from now on. Those that stay keep their times.
      # @param servers [Array<String>]
      def servers=(servers)
        @lock.synchronize do
          known = [*@waiting, *@running].map(&:server)
          gone = known - servers
          @waiting.reject! { |entry| gone.include?(entry.server) }
          @running.reject! { |entry| gone.include?(entry.server) && entry.task.kill }
          add(servers - known)
          @changed.signal
        end
      end

      # Checks at once, and then often, until a server has been up +:rise+ times or +:hold+ is over.
      def hurry
        @lock.synchronize do
          @hurried_until = Log.now + (@upstream.options[:hold] || 0)
          @needed = @upstream.options[:rise]
          @waiting.each { |entry| entry.due = 0 }
          @changed.signal
        end
      end

      # Ends all threads.
      # @return [Array<#join>] what may still be running
      def stop
        @lock.synchronize do
          @is_stopped = true
          @changed.signal
          [@thread, *@running.map { |entry| entry.task.kill }].tap { @running.clear }
        end
      end

      private

      # New servers are checked before all others.
      def add(servers)
        @waiting = servers.map { |server| Entry.new(server, 0) } + @waiting
      end

      # Starts the checks that are due, and ends those that take too long. The entries that wait and those that run are
      # in the order of their times, since all have the same interval and the same limit.
      def schedule
        until @is_stopped
          now = Log.now
          expire(@running.first) while @running.any? && @running.first.deadline <= now
          start(@waiting.shift, now) while startable? && @waiting.first.due <= now
          @changed.wait(@lock, delay(now))
        end
      end

      def startable?
        @waiting.any? && @running.size < MAX_RUNNING
      end

      # @return [Float, nil] seconds until there is something to do; nil if that needs a change
      def delay(now)
        times = [(@waiting.first.due if startable?), @running.first&.deadline].compact
        [times.min - now, 0].max if times.any?
      end

      def interval(now)
        return @upstream.check_interval unless @hurried_until && now < @hurried_until && @needed.positive?

        [HURRIED_INTERVAL, @upstream.check_interval].min
      end

      # A check that could not be ended is running still, and fails again.
      def start(entry, now)
        entry.due = now + interval(now)
        return finish(entry, false, timeout) if entry.task&.alive?

        entry.deadline = now + @upstream.options[:check_timeout]
        @running << entry
        entry.task = Task.new(->(outcome) { ended(entry, outcome) }) { @upstream.check.call(entry.server.dup) }
      rescue ThreadError => e
        @running.pop
        finish(entry, false, SafeInspect.message(e))
      end

      def expire(entry)
        @running.shift
        entry.task.kill
        finish(entry, false, timeout)
      end

      def timeout
        "its check has not answered within #{@upstream.options[:check_timeout].to_s.delete_suffix(".0")} s"
      end

      # Runs on the thread of the check.
      def ended(entry, outcome)
        @lock.synchronize do
          # Not if the check has expired, or its server is gone.
          next unless @running.reject! { |running| running.equal?(entry) }

          finish(entry, *CheckResult.of(outcome))
          @changed.signal
        end
      end

      def finish(entry, result, reason = nil)
        index = @waiting.rindex { |other| other.due <= entry.due }
        @waiting.insert(index ? index + 1 : 0, entry)
        @needed -= 1 if result && @hurried_until
        @report.call(entry.server, result, reason)
      end
    end
  end
end
