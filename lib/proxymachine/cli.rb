# frozen_string_literal: true

require_relative "options"

class ProxyMachine
  # The command line: options, the config file, and one clear sentence for whatever goes wrong.
  # Answers --help and --version without the rest of the gem.
  # @api private
  class CLI
    # The exit status if the command line is wrong.
    USAGE = 2
    # The exit status if anything else is.
    FAILURE = 1

    # @param arguments [Array<String>] options are taken out, the rest is left to the config
    # @return [Integer] exit status
    def self.start(arguments)
      return top(arguments.drop(1)) if arguments.first == "top"

      new(Options.new(arguments)).start
    rescue UsageError => e
      complain("#{e.message}\nTry `proxymachine --help`.", USAGE)
    rescue Error => e
      complain(e.message, FAILURE)
    rescue SignalException => e
      die_of(e.signo)
    end

    def self.top(arguments)
      require_relative "top"
      Top.start(arguments)
    end

    # As the system does it: without Ruby's backtrace, and with the status that tells the signal.
    def self.die_of(signal)
      trap(signal, "SYSTEM_DEFAULT")
      Process.kill(signal, Process.pid)
      sleep
    end

    def self.complain(message, status)
      $stderr.puts "proxymachine: #{message}" # rubocop:disable Style/StderrPuts -- a config may silence warnings
      ProxyMachine.operations&.failed(message) if ProxyMachine.respond_to?(:operations)
      status
    end
    private_class_method :top, :complain, :die_of

    # @param options [Options]
    def initialize(options)
      @options = options
    end

    # @return [Integer] exit status
    def start
      return show(@options.answer) if @options.answer
      raise UsageError, "no config file: name one with -c" unless config

      require_relative "program"
      Program.remember
      require_relative "config_file"
      require_relative "../proxymachine"
      apply
      return check if @options.check
      return try if @options.trial

      serve
    end

    private

    def config
      @options.config
    end

    # What the command line says holds, whatever the config says.
    def apply
      configuration = ProxyMachine.configuration
      @options.settings.each { |name, value| configuration.settings.override(name, value) }
      @options.binds.each { |address| configuration.listeners.fix(address) }
    rescue ConfigError => e
      raise UsageError, e.message
    end

    def load
      ConfigFile.load(config)
      ProxyMachine.configuration.privileges.become(@options.user, @options.group)
    end

    def serve
      require_relative "operations"
      return cluster if @options.workers > 1

      operations = Operations.new(File.expand_path(config), @options.pidfile)
      ProxyMachine.operations = operations
      operations.install_traps
      ProxyMachine.configuration.listeners.offer(operations.sockets.map(&:last).grep(/\Asystemd:/).uniq)
      load
      ProxyMachine.run(File.basename(config).chomp(".rb"), nil, nil)
      0
    ensure
      operations&.ended
    end

    # Each worker loads the config by itself, so that nothing of it (connections, threads) is shared.
    def cluster
      require_relative "cluster"
      loader = lambda do
        load
        ProxyMachine.configuration
      end
      Cluster.new(config, @options.workers, @options.pidfile, loader).run
    end

    def check
      require_relative "check"
      load
      Check.new(ProxyMachine.configuration, @options.pidfile).run
      show("configuration ok")
    rescue SystemExit => e
      raise ConfigError, "#{config} ends the program while it is loaded (exit #{e.status})"
    end

    def try
      require_relative "trial"
      load
      Trial.new(ProxyMachine.configuration, @options.listener).run(@options.trial) ? 0 : FAILURE
    end

    def show(text)
      puts text
      0
    end
  end
end
