# frozen_string_literal: true

require_relative "../new_thread"

class ProxyMachine
  class Lifecycle
    # A server's side of the pipe to the Init process. The server reports its successor there, and how that one ends.
    # @api private
    module InitChannel
      # The environment variable with the descriptor of the pipe.
      VARIABLE = "PROXYMACHINE_INIT"

      class << self
        # @return [IO, nil] the pipe; nil without an init process
        attr_reader :io

        # Continues with the pipe of the process that has started this one.
        def inherit
          descriptor = ENV.delete(VARIABLE)
          self.io = IO.for_fd(Integer(descriptor), "w") if descriptor
        rescue SystemCallError, ArgumentError
          nil # The variable is a stranger's.
        end

        # @param io [IO] programs that the config starts do not inherit it
        def io=(io)
          io.close_on_exec = true
          io.sync = true
          @io = io
        end

        # Tells the init process which process serves from now on. If that one is a child of this process, this process
        # reaps it, and then tells the init process how it ended.
        # @param pid [Integer]
        # @param waiter [Process::Waiter, nil] waits for the child
        def succeeded_by(pid, waiter)
          return unless tell("server #{pid}") && waiter

          NewThread.start { tell("ended #{waiter.pid} #{exit_status(waiter.value)}") }
        rescue ThreadError
          nil # The init process notices later that the new server does not exist any more.
        end

        # @param status [Process::Status]
        # @return [Integer] the status that a shell would show
        def exit_status(status)
          status.signaled? ? 128 + status.termsig : status.exitstatus
        end

        private

        def tell(line)
          @io&.write("#{line}\n")
        rescue SystemCallError, IOError
          nil # The init process has ended, and so will this one.
        end
      end
    end
  end
end
