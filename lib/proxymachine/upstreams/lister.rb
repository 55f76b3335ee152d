# frozen_string_literal: true

require_relative "../errors"
require_relative "../log"
require_relative "../new_thread"
require_relative "task"

class ProxyMachine
  module Upstreams
    # Calls the block that lists the servers of an upstream: at load, then at each interval. If a block fails, the last
    # list stays.
    # @api private
    class Lister
      # Seconds that a block may take.
      TIMEOUT = 30
      private_constant :TIMEOUT

      class << self
        # Calls the blocks of all upstreams that have no servers yet, at once, and sets their servers.
        # @param upstreams [Config::Upstreams]
        # @param last [Hash{Symbol => Array<String>}] lists that stay where a block fails
        # @raise [ConfigError] if the first list of an upstream fails
        def load(upstreams, last = {})
          tasks = upstreams.reject(&:servers).to_h { |upstream| [upstream, task(upstream)] }
          tasks.each do |upstream, task|
            servers, failure = wait(task)
            servers = keep(upstream, last[upstream.name], failure) if failure
            upstream.servers = servers
          end
        rescue ThreadError => e
          raise ConfigError, "cannot list the servers of an upstream: #{SafeInspect.failure(e)}"
        ensure
          tasks.to_h.each_value(&:kill)
        end

        # Starts a call of a block.
        # @param upstream [Config::Upstream]
        # @return [Task]
        def task(upstream)
          Task.new { upstream.call_list }
        end

        # Waits for the end of a call.
        # @return [Array(Array<String>, String)] the servers; or nil, and why there are none
        def wait(task)
          outcome = task.outcome(TIMEOUT)
          return [outcome.value, nil] unless outcome.failure
          return [nil, SafeInspect.message(outcome.failure)] if outcome.failure.is_a?(ConfigError)

          [nil, "the block that lists its servers failed: #{outcome.reason}"]
        end

        # Logs that a list has failed.
        def warn(name, failure)
          Log.line :warn, "Upstream #{name}: the last list of servers stays: #{failure}"
        end

        private

        def keep(upstream, last, failure)
          upstream.explain { raise ConfigError, failure } unless last
          warn(upstream.name, failure)
          last
        end
      end

      # @param upstream [Config::Upstream] its +servers+ are the last list
      # @yieldparam servers [Array<String>] another list
      # @raise [ThreadError] if the system does not allow another thread
      def initialize(upstream, &report)
        @upstream = upstream
        @report = report
        @thread = NewThread.start { loop { refresh } }
        @thread.name = "proxymachine list"
      end

      # Ends all threads.
      # @return [Array<#join>] what may still be running
      def stop
        [@thread, @task].compact.each(&:kill)
      end

      private

      def refresh
        sleep @upstream.options[:every]
        @task = Lister.task(@upstream)
        servers, failure = Lister.wait(@task)
        # A block that fails at each call is logged once.
        Lister.warn(@upstream.name, failure) if failure && failure != @failure
        @failure = failure
        return if failure || servers == @upstream.servers

        @report.call(@upstream.servers = servers)
      rescue ThreadError => e
        Lister.warn(@upstream.name, SafeInspect.message(e))
      end
    end
  end
end
