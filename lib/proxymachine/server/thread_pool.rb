# frozen_string_literal: true

require_relative "../new_thread"

class ProxyMachine
  class Server
    # The Ruby threads of the setting +threads+. They call blocks in parallel, for blocks that wait for a database.
    # @api private
    class ThreadPool
      # @param engine [Engine]
      # @param handler [Handler]
      # @param count [Integer] threads; with 1 there is no pool, and the serving thread calls the blocks
      # @raise [StartError] if the system does not allow that many threads
      def initialize(engine, handler, count)
        @engine = engine
        @handler = handler
        @serving_thread = Thread.current
        @threads = []
        count.times { @threads << start } if count > 1
      rescue ThreadError => e
        stop
        raise StartError, "threads #{count}: #{SafeInspect.failure(e)}"
      end

      # Kills all threads of the pool.
      def stop
        @is_stopped = true
        @engine.stop_thread_pool
        @threads.each(&:kill).each(&:join)
      end

      private

      def start
        NewThread.start { serve }.tap do |thread|
          thread.report_on_exception = false
          thread.name = "proxymachine pool"
        end
      end

      # Passes an exception that ends the server on to the serving thread. A thread that is killed by its block is
      # replaced.
      def serve
        is_finished = false
        @engine.serve_pool_thread(@handler)
        is_finished = true
      rescue Exception => e # rubocop:disable Lint/RescueException
        is_finished = true
        @serving_thread.raise(e)
      ensure
        @threads << start unless is_finished || @is_stopped
      end
    end
  end
end
