# frozen_string_literal: true

require_relative "../new_thread"
require_relative "../safe_inspect"

class ProxyMachine
  module Upstreams
    # One call of a config's Ruby on a thread of its own. Whatever the Ruby does is an outcome of the task: a value, an
    # exception, +exit+, +throw+, the end of its thread, or a +fork+ whose child returns.
    # @api private
    class Task
      # The value that was returned; or an exception, or a text that says why there is none.
      Outcome = Struct.new(:value, :failure) do
        # @return [String, nil] why the call has failed; nil if it has not
        def reason
          return failure unless failure.is_a?(Exception)

          "#{SafeInspect.text("an exception") { failure.class }} - #{SafeInspect.message(failure)}"
        end
      end

      # Calls the block on a new thread.
      # @param done [#call, nil] is called on that thread with the Outcome, once. It must not raise.
      # @raise [ThreadError] if the system does not allow another thread
      def initialize(done = nil, &work)
        @process = Process.pid
        @thread = NewThread.start { run(work, done) }
        @thread.name = "proxymachine upstream"
        @thread.report_on_exception = false
      end

      # Whether the call goes on.
      def alive?
        @thread.alive?
      end

      # Ends the thread as soon as Ruby can. Native code that holds the thread up goes on until it returns.
      # @return [self]
      def kill
        @thread.kill
        self
      end

      # Waits for the outcome.
      # @param limit [Numeric] seconds, after which the thread is ended
      # @return [Outcome]
      def outcome(limit)
        return @outcome if @thread.join(limit)

        kill
        Outcome.new(nil, "it has not returned within #{limit.to_s.delete_suffix(".0")} s")
      end

      # Waits for the end of the thread.
      # @param limit [Numeric, nil] seconds
      def join(limit = nil)
        @thread.join(limit)
      end

      private

      def run(work, done)
        @outcome = Outcome.new(nil, "it ended its thread")
        @outcome = Outcome.new(work.call, nil)
      rescue Exception => e # rubocop:disable Lint/RescueException -- a config may raise anything, even an exit
        @outcome = Outcome.new(nil, e)
      ensure
        # A child that the call has forked has copies of the server's sockets, and no server.
        exit!(0) if Process.pid != @process
        done&.call(@outcome)
      end
    end
  end
end
