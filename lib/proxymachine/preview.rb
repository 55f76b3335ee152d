# frozen_string_literal: true

class ProxyMachine
  # What a config says about sockets and rights, found out in a child: the process that asks runs nothing of it.
  # @api private
  class Preview
    # Seconds that a config may take to load.
    PATIENCE = 60
    private_constant :PATIENCE

    # @return [Privileges]
    attr_reader :privileges
    # @return [String, nil] the setting +admin+
    attr_reader :admin

    # @param loader [Proc] loads the config and returns its Configuration
    # @param inherited [Array] [[descriptor, address]]
    # @raise [ConfigError] naming what is wrong with it
    # @raise [StartError] if the system does not allow it
    def self.of(loader, inherited)
      ours, theirs = IO.pipe(binmode: true)
      pid = fork do
        Process.setpgrp # A signal of the terminal is the cluster's to hear.
        ours.close
        theirs.write(Marshal.dump(answer(loader, inherited)))
        exit!(0)
      end
      theirs.close
      said = heard(ours, pid)
      said.is_a?(Hash) ? new(**said) : raise(ConfigError, said)
    rescue SystemCallError => e
      raise StartError, "cannot try the config: #{e.message}"
    ensure
      [ours, theirs].compact.each(&:close)
    end

    # Before it is waited for: more than a pipe holds is only written while somebody reads.
    def self.heard(pipe, pid)
      is_over = pipe.wait_readable(PATIENCE)
      Process.kill(:KILL, pid) unless is_over
      said = is_over ? told(pipe) : "it is not loaded after #{PATIENCE} s"
      status = Process.wait2(pid).last
      said || "the config ended the process that loaded it (#{status})"
    end

    # Not to the end of the pipe, which a process that the config started may hold open.
    def self.told(pipe)
      Marshal.load(pipe) # rubocop:disable Security/MarshalLoad -- it is our own child
    rescue EOFError, ArgumentError
      nil # It has not finished.
    end
    private_class_method :heard, :told

    def self.answer(loader, inherited)
      ProxyMachine.configuration.listeners.offer(inherited.map { |_, address| address }.grep(/\Asystemd:/).uniq)
      configuration = loader.call
      { listeners: configuration.checked_listeners, settings: configuration.settings.to_h,
        privileges: configuration.privileges }
    rescue Exception => e # rubocop:disable Lint/RescueException -- whatever a config may raise
      Text.of(e.class) { e.is_a?(Error) ? e.message : "#{e.message} (#{e.class})" }
    end
    private_class_method :answer

    def initialize(listeners:, settings:, privileges:)
      @listeners = listeners
      @admin = settings[:admin]
      # Connections are the workers' business.
      @settings = settings.merge(max_connections: 1, threads: 1)
      @privileges = privileges
    end

    # Opens what is to be listened on, or takes it from what another process has opened.
    # @param inherited [Array] [[descriptor, address]]
    # @return [Engine] which is not to run
    # @raise [StartError]
    def open(inherited)
      Engine.listen(@listeners, @settings, inherited)
    end

    # Opens what such an engine has not opened yet.
    # @return [Array] the sockets: [[descriptor, address, port]]
    # @raise [StartError]
    def prepare(engine)
      engine.prepare(@listeners, @settings)
    end
  end
end
