# frozen_string_literal: true

require_relative "../new_thread"

class ProxyMachine
  class Server
    # Ends a drain in time. Unless there is a thread pool, blocks run on the serving thread, which also writes the log.
    # A block that sleeps or spins would keep back the lines about the drain, and the end of the process after the last
    # connection. So a thread of the watchdog has the lines written meanwhile, interrupts the block once no connection
    # is left, and finally ends the process without it.
    # @api private
    class DrainWatchdog
      # Seconds that a block may go on after the last connection, or that a log line may wait for a block.
      GRACE = 0.2
      # How often a block is interrupted before the process ends without it.
      INTERRUPTS = 5
      private_constant :GRACE, :INTERRUPTS

      # @param engine [Engine]
      # @param handler [Handler] writes the log lines
      def initialize(engine, handler)
        @engine = engine
        @handler = handler
        @log_lock = Mutex.new
      end

      # Whether #supervise is running.
      def supervising?
        !@serving_thread.nil?
      end

      # Runs the block on the serving thread, stops the watchdog, and writes the last log lines. Interrupted is only
      # delivered inside #interruptible: neither before it nor in the code of the caller of ProxyMachine.run.
      def supervise
        @serving_thread = Thread.current
        process = Process.pid
        Thread.handle_interrupt(Interrupted => :never) do
          yield
        ensure
          # Before the last lines, which may take seconds: the watchdog would end the process meanwhile.
          stop
          # A child that a block forked has copies of lines that its parent writes.
          write_last_lines if Process.pid == process
        end
      end

      # Runs the block until it returns or is interrupted.
      def interruptible(&block)
        Thread.handle_interrupt(Interrupted => :immediate, &block)
      rescue Interrupted
        nil
      end

      # Starts the watchdog at the first drain. May be called from a trap.
      def start
        @thread ||= NewThread.start { watch }
      rescue ThreadError
        nil # Without the watchdog only a stuck block delays the end.
      end

      private

      def watch
        sleep GRACE
        write_lines_in_background
        @engine.wait_until_drained
        INTERRUPTS.times do
          sleep GRACE
          return unless supervising?

          interrupt_stuck_block
        end
        end_process
      end

      # pending_interrupt? takes no class here: Ruby 3.1 crashes if it compares one while an exception is pending.
      def interrupt_stuck_block
        @serving_thread&.raise(Interrupted) unless @serving_thread&.pending_interrupt?
      end

      def end_process
        NewThread.start { write_last_lines }.join(Log::Writer::FINISH_TIMEOUT)
        @engine.stop_admin
        exit!(@engine.outcome == :forced ? 1 : 0)
      end

      # After the join no thread can interrupt the serving one, except by an Interrupted that is already pending.
      def stop
        @serving_thread = nil
        @thread&.kill&.join
        @writer&.join
        interruptible { Thread.pass }
      end

      # LOGGER may be the config's own, and call whatever it likes. The watchdog must not wait for it.
      def write_lines_in_background
        @writer = NewThread.start { write_lines }
      end

      # A log that stands still loses its last lines.
      def write_last_lines
        write_lines
        Log.writer.finish
      end

      # The lock keeps the lines of several threads in order.
      def write_lines
        @log_lock.synchronize { @engine.flush(@handler) }
      end
    end
  end
end
