# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # The processes that this one continues after upgrades. Each goes on until its last connection has ended.
    # @api private
    module Predecessor
      class << self
        # Takes over what the predecessor has told.
        # @param told [Hash] +:pids+, its own and those of the processes that it continues; and as +:reached+ the
        #   names of the upstreams whose servers were started or reached
        def remember(told)
          @pids = told[:pids]
          @reached = told[:reached]
        end

        # @return [Array<String>] the names of the upstreams whose servers were started or reached
        def reached = @reached.to_a

        # @return [Array<Integer>] the processes that still run
        def pids
          @pids = @pids.to_a.select { |pid| runs?(pid) }
        end

        # Whether one of them still runs. A process that has ended keeps its number until its parent asks for its status
        # (a zombie).
        def exist? = pids.any?

        private

        def runs?(pid)
          return false if zombie?(pid)

          Process.kill(0, pid)
          true
        rescue Errno::ESRCH
          false
        rescue Errno::EPERM
          true # It has not changed its user, as this process has.
        end

        # Whether a process has ended, and its parent has not noticed. proc_pid_stat(5): the state follows the name,
        # which is in parentheses and may contain some itself.
        def zombie?(pid)
          File.read("/proc/#{pid}/stat").rpartition(")").last.split.first == "Z"
        rescue SystemCallError
          false # It is gone, or this system has no /proc.
        end
      end
    end
  end
end
