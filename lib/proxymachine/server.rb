# frozen_string_literal: true

class ProxyMachine
  # One run of the engine on the calling thread, from the bound socket to the last connection.
  class Server
    # Seconds that a block may go on after all connections have ended, or the log may wait for it.
    GRACE = 0.2
    # How often it is then asked to stop before the process ends without it.
    REQUESTS = 5
    # Tells the sockets of the admin from those that clients connect to.
    ADMIN = "admin:"
    private_constant :GRACE, :REQUESTS, :ADMIN

    # @return [Engine]
    attr_reader :engine

    # @param configuration [Configuration]
    # @param first [String, nil] "host:port" to listen on before all others
    # @param inherited [Array] what another process has bound: [[descriptor, address]]
    # @raise [ConfigError] if listeners and blocks do not belong together
    # @raise [StartError] if an address cannot be listened on
    def initialize(configuration, first = nil, inherited = [])
      listeners = configuration.checked_listeners(first)
      @capacity = Descriptors.connections(admin: configuration.settings.to_h[:admin])
      @configuration = configuration
      @threads, @admin = configuration.settings.to_h.values_at(:threads, :admin)
      admin, own = inherited.partition { |_, address| address.start_with?(ADMIN) }
      @inherited = admin.map { |fd, address| [fd, address.delete_prefix(ADMIN)] }
      @engine = Engine.listen(listeners, settings_of(configuration), own)
      @handler = Handler.new
      @lock = Mutex.new
    end

    # What it listens on, with the ports that were taken where 0 was asked for.
    # @return [Array<String>]
    def addresses
      @engine.sockets.uniq { |_, address| address }.map do |_, address, port|
        port ? address.sub(/:\d+\z/, ":#{port}") : address
      end
    end

    # Has another configuration count for all that comes from now on; who is connected stays.
    # @raise [ConfigError, StartError] if that is not possible; then the one before goes on
    def reload(configuration)
      @engine.prepare(configuration.checked_listeners, settings_of(configuration))
      configuration.blocks.replace(@configuration.blocks)
      @configuration = configuration
      yield
      @engine.apply
      show_settings
    end

    # Binds the address of the setting +admin+, where it shows itself while it runs.
    # @param name [String] what is shown as its name
    # @return [String, nil] where that is
    # @raise [StartError] if the address cannot be listened on
    def bind_admin(name)
      return unless @admin

      about = { name: name, version: VERSION, ruby: RUBY_VERSION, **@configuration.privileges.ids }
      port = @engine.bind_admin(@admin, about, @inherited)
      show_settings
      port ? "http://#{@admin.sub(/\d*\z/, port.to_s)}/" : @admin
    end

    # @return [Array] what the process after this one is given: [[descriptor, address]]
    def sockets_to_inherit
      admin = @engine.admin_sockets.map { |fd, address,| [fd, "#{ADMIN}#{address}"] }
      @engine.sockets.map { |fd, address,| [fd, address] } + admin
    end

    # @return [Array<Integer>] connections: current, most at once, total
    def stats
      @engine.stats
    end

    # Serves until a drain is over.
    # @return [Symbol] +:drained+, or +:forced+ if connections had to be cut off
    def run
      @runner = Thread.current
      @configuration.blocks.tell(@engine)
      workers = Workers.new(@engine, @handler, @threads)
      # Halt only arrives inside: not before, and not in the code of whoever called run.
      Thread.handle_interrupt(Handler::Halt => :never) do
        halted { @engine.run(@handler) }
      ensure
        @lock.synchronize { @runner = nil }
        workers&.stop
        @configuration.blocks.tell(nil)
        @call_home&.kill&.join
        halted { Thread.pass } # One that was still under way.
        @engine.flush(@handler)
      end
      @engine.outcome
    end

    # Stops accepting, and ends +run+ when all connections have ended or +limit+ seconds are over.
    # May be called from a trap.
    def drain(signal, limit)
      @engine.drain(signal.to_s, limit)
      @call_home ||= Thread.new { call_home } # rubocop:disable Naming/MemoizedInstanceVariableName
    end

    private

    # How many connections there may be is found out once, when none is open.
    def settings_of(configuration)
      settings = configuration.settings.to_h
      settings.merge(max_connections: settings[:max_connections] || @capacity, threads: @threads, admin: @admin)
    end

    # To whom the admin shows them.
    def show_settings
      settings = settings_of(@configuration)
      texts = settings.to_h { |name, value| [name.to_s, value.nil? ? "none" : value.to_s.delete_suffix(".0")] }
      @engine.show_settings(texts, settings[:max_connections])
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
      # Whoever kills this thread must not take lines with it.
      Thread.handle_interrupt(Object => :never) { @engine.flush(@handler) }
      @engine.await_end
      REQUESTS.times do
        sleep GRACE
        @lock.synchronize do
          return unless @runner

          # Without an argument: Ruby 3.1 crashes if it is asked for a class while an exception is pending.
          @runner.raise(Handler::Halt) unless @runner.pending_interrupt?
        end
      end
      @engine.flush(@handler)
      @engine.hide
      exit!(@engine.outcome == :forced ? 1 : 0)
    end
  end
end
