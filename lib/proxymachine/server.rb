# frozen_string_literal: true

require "forwardable"

class ProxyMachine
  # One run of the engine on the calling thread, from the bound socket to the last connection.
  # @api private
  class Server
    extend Forwardable

    # hand_over: after the drain that comes now, it all goes on in another process. own_files: those of Unix sockets
    # that another process has bound are this one's to remove. counts: what the admin shows, for the next process.
    # reopen: the file of the access log. stats: current, most at once, total.
    def_delegators :@engine, :hand_over, :own_files, :reopen, :stats, :counts

    # Seconds that a block may go on after all connections have ended, or the log may wait for it.
    GRACE = 0.2
    # How often it is then asked to stop before the process ends without it.
    REQUESTS = 5
    # Seconds that the log has for its last lines before the process ends without them.
    LOG_PATIENCE = 3
    private_constant :GRACE, :REQUESTS, :LOG_PATIENCE

    # @param configuration [Configuration]
    # @param first [String, nil] "host:port" to listen on before all others
    # @param inherited [Array] what another process has bound: [[descriptor, address]]
    # @raise [ConfigError] if listeners and blocks do not belong together
    # @raise [StartError] if an address cannot be listened on
    def initialize(configuration, first = nil, inherited = [])
      listeners = configuration.checked_listeners(first)
      @capacity = Descriptors.connections(admin: configuration.settings.to_h[:admin])
      @configuration = configuration
      @fixed = configuration.settings.to_h.slice(:threads, :admin)
      of_admin, own = Admin.split(inherited, @fixed[:admin])
      @engine = Engine.listen(listeners, settings_of(configuration), own)
      @admin = Admin.new(@engine, @fixed[:admin], of_admin)
      @handler = Handler.new
      open_logs(configuration)
      @lock = Mutex.new
      @writing = Mutex.new
    end

    # What it listens on, with the ports that were taken where 0 was asked for.
    # @return [Array<String>]
    def addresses = Listeners.addresses(@engine.sockets)

    # What it listens on, for another process to inherit.
    # @return [Array] [[descriptor, address, port]]
    def sockets = @engine.sockets + @admin.sockets

    # Goes on from what another process counted before this one took over.
    # @param max [Integer] connections at once
    # @param total [Integer] connections
    # @param counts [String, nil] what its admin showed
    def carry_over(max, total, counts)
      @engine.carry_over(max, total)
      @engine.carry_counts(counts) if counts
    end

    # Has another configuration count for all that comes from now on; who is connected stays.
    # @raise [ConfigError, StartError] if that is not possible; then the one before goes on
    def reload(configuration)
      @engine.prepare(configuration.checked_listeners, settings_of(configuration))
      open_logs(configuration)
      configuration.blocks.replace(@configuration.blocks)
      @configuration = configuration
      yield
      @engine.apply
      @admin.show(settings_of(@configuration))
    rescue Exception # rubocop:disable Lint/RescueException -- whatever it is
      @engine.discard
      raise
    end

    # Has the logs be as a configuration says.
    # @raise [ConfigError] if LOGGER cannot be set; then the access log is as before
    # @raise [StartError] if the access log cannot be written
    def open_logs(configuration)
      settings = configuration.settings.to_h
      LogFormat.apply(LOGGER, settings)
      @engine.log_to(settings[:access_log], settings[:log_format] == :json)
    end

    # Binds the address where it shows itself.
    # @param name [String] what is shown as its name
    # @return [String, nil] where that is
    def bind_admin(name)
      @admin.bind(name, @configuration.privileges).tap { @admin.show(settings_of(@configuration)) }
    end

    # Serves until a drain is over.
    # @return [Symbol] +:drained+, or +:forced+ if connections had to be cut off
    def run
      @runner = Thread.current
      @configuration.blocks.tell(@engine)
      workers = Workers.new(@engine, @handler, @fixed[:threads])
      # Halt only arrives inside: not before, and not in the code of whoever called run.
      Thread.handle_interrupt(Handler::Halt => :never) do
        halted { @engine.run(@handler) }
      ensure
        # Until all this is done, whoever calls home ends the process if a worker or the log keeps it.
        workers&.stop
        @configuration.blocks.tell(nil)
        write_lines
        @lock.synchronize { @runner = nil }
        @call_home&.kill&.join
        @writer&.join
        halted { Thread.pass } # One that was still under way.
      end
      @engine.outcome
    end

    # Writes a line to the log, as long as it runs. May be called from a trap.
    def warn(line)
      @engine.warn(line) if @runner
    end

    # Stops accepting, and ends +run+ when all connections have ended or +limit+ seconds are over.
    # May be called from a trap.
    def drain(signal, limit)
      @engine.drain(signal.to_s, limit)
      @call_home ||= Thread.new { call_home }
    rescue ThreadError
      nil # Only a block that does not return keeps the end back.
    end

    private

    # How many connections there may be is found out once, when none is open.
    def settings_of(configuration)
      settings = configuration.settings.to_h
      settings.merge(max_connections: settings[:max_connections] || @capacity, **@fixed)
    end

    def halted(&block)
      Thread.handle_interrupt(Handler::Halt => :immediate, &block)
    rescue Handler::Halt
      nil
    end

    # A block that sleeps or spins must neither keep back the lines about the drain nor outlive the
    # connections: once they have ended, the thread that runs is called home.
    def call_home
      sleep GRACE
      @writer = Thread.new { write_lines }
      @engine.await_end
      REQUESTS.times do
        sleep GRACE
        @lock.synchronize do
          return unless @runner

          # Without an argument: Ruby 3.1 crashes if it is asked for a class while an exception is pending.
          @runner.raise(Handler::Halt) unless @runner.pending_interrupt?
        end
      end
      @writer = Thread.new { write_lines }
      @writer.join(LOG_PATIENCE)
      @engine.hide
      exit!(@engine.outcome == :forced ? 1 : 0)
    end

    # One thread after the other: a log that hangs, say on a pipe that nobody reads, keeps them all.
    def write_lines
      @writing.synchronize { @engine.flush(@handler) }
    end
  end
end
