# frozen_string_literal: true

require_relative "../client"
require_relative "../errors"
require_relative "../log"

class ProxyMachine
  class Server
    # The methods that the engine calls on the serving thread, and the threads of the pool: they call the config's
    # blocks and write to LOGGER.
    # @api private
    class Handler
      include Log::Messages

      # @return [Proc] announces the start
      attr_writer :announcement

      # Calls the block of +proxy+.
      # @param data [String] all bytes received
      # @param listener [Symbol, nil] the listener's name
      # @param about [Array, nil] the client, see Client#initialize; nil if no block takes it
      def route(data, listener, about)
        router = ProxyMachine.configuration.blocks.router(listener)
        raise ConfigError, "no proxy block for the listener #{listener.inspect}" unless router

        router.call(data, about && Client.new(listener, about))
      end

      # Calls the block of +proxy_accept+.
      def accepted(_data, listener, about)
        ProxyMachine.configuration.blocks[:accept]&.callable&.call(Client.new(listener, about)) || :noop
      end

      # Calls the block of +proxy_timeout+. A reload may have removed the block.
      def timed_out(data, listener, about)
        block = ProxyMachine.configuration.blocks[:timeout]
        block ? block.call(data, about && Client.new(listener, about)) : :close
      end

      # Calls the block of +proxy_connect_error+.
      # @param remote [String] "host:port"
      def connect_error(remote)
        ProxyMachine.configuration.blocks[:connect_error]&.callable&.call(remote)
      end

      # Calls the block of +proxy_inactivity_error+.
      # @param remote [String] "host:port"
      def inactivity_error(remote)
        ProxyMachine.configuration.blocks[:inactivity_error]&.callable&.call(remote)
      end

      # Returns the log line for an exception. After a stack overflow, Ruby runs no traps and no other interrupts of the
      # thread until an exception or a throw has left a method that is written in Ruby. The overflow of a method in C
      # that the extension has called, such as Array#to_s, has left none.
      # @return [String]
      # @raise the exception, if it ends the server
      def raised(exception)
        catch { |tag| throw tag }
        super
      end

      # Whether LOGGER takes INFO lines. A logger that cannot tell gets all lines.
      def info?
        guard(true) { LOGGER.respond_to?(:info?) ? !!LOGGER.info? : true }
      end

      # Returns how the extension may format lines for LOGGER: see Log::Format#plan.
      def log_plan
        guard { Log.writer.plan }
      end

      # Writes lines that are formatted already.
      # @param lines [String]
      def write(lines)
        guard { Log.writer.write(lines) }
      end

      # Formats a second as Logger does. The extension asks for each second once, so LOGGER is examined again, too.
      # @param epoch [Integer]
      # @return [String]
      def second(epoch)
        Log.writer.forget
        Time.at(epoch).strftime("%Y-%m-%dT%H:%M:%S")
      end

      # Gives lines to a LOGGER that formats them by itself.
      # @param lines [Array<Array(Symbol, String)>] levels and texts
      def log(lines)
        guard { Log.writer.log(lines) }
      end

      # The engine accepts connections.
      # @raise [ConfigError] if LOGGER fails
      def started
        @announcement.call
        guard { ProxyMachine.runner.serving }
      end

      # Updates the process title, at most once a second while connections begin or end.
      def title
        guard { ProxyMachine.update_procline }
      end

      private

      # Drops the exception of a logger that fails because of a full disk or a closed pipe: only its lines are lost. An
      # Interrupted for a stuck block waits until the lines are written.
      def guard(fallback = nil, &block)
        Thread.handle_interrupt(Interrupted => :never, &block)
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise if Fatal === e # rubocop:disable Style/CaseEquality

        fallback
      end
    end
  end
end
