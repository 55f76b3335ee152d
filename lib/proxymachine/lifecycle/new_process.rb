# frozen_string_literal: true

require_relative "../new_thread"
require_relative "../safe_inspect"

class ProxyMachine
  class Lifecycle
    # Starts processes, and gives up when the system allows none. Ruby's +fork+ and +spawn+ try again for ever when the
    # limit of processes is reached (EAGAIN), so the caller would serve nothing and obey no signal.
    # @api private
    module NewProcess
      # Seconds in which the system may come to allow a process.
      TRY_TIMEOUT = 2
      # Ends the wait of +fork+ and +spawn+ for another try.
      TimedOut = Class.new(StandardError)
      private_constant :TRY_TIMEOUT, :TimedOut

      # Forks.
      # @yield in the child process, if a block is given
      # @return [Integer, nil] the child's process id; nil in the child without a block
      # @raise [SystemCallError] if the system does not allow another process
      def self.fork(&)
        within_timeout { Process.fork(&) }
      end

      # Starts a program. The arguments are those of Process.spawn.
      # @return [Integer] its process id
      # @raise [SystemCallError] if the system does not allow another process, or the program cannot be started
      def self.spawn(...)
        within_timeout { Process.spawn(...) }
      end

      # Makes this process the leader of a group of its own: signals of the terminal are for the main process, which
      # passes them on. A process that may not do so does without.
      def self.lead_group
        Process.setpgrp
      rescue SystemCallError
        nil
      end

      # The exception is only raised while the block waits, so an id that the system has given is never lost.
      def self.within_timeout(&start)
        is_done = false
        result = nil
        guard = start_guard(Thread.current)
        Thread.handle_interrupt(TimedOut => :never) do
          result = Thread.handle_interrupt({ TimedOut => :on_blocking }, &start)
          is_done = true
        ensure
          guard.kill
        end
        result
      rescue TimedOut
        is_done ? result : raise(Errno::EAGAIN)
      end

      def self.start_guard(caller)
        NewThread.start do
          sleep(TRY_TIMEOUT)
          caller.raise(TimedOut)
        end
      rescue ThreadError
        raise Errno::EAGAIN # A thread counts as a process.
      end
      private_class_method :within_timeout, :start_guard
    end
  end
end
