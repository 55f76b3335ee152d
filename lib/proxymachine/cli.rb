# frozen_string_literal: true

require_relative "cli/commands"
require_relative "cli/options"
require_relative "cli/report"

class ProxyMachine
  # The command line: parses the options, loads the config file, and reports errors in one line on standard error.
  # `--help` and `--version` load neither the rest of the gem nor the extension.
  # @api private
  class CLI
    extend Report

    # The exit status for a wrong command line.
    USAGE = 2
    # The exit status for all other errors.
    FAILURE = 1

    # @param arguments [Array<String>] options are removed, the rest is left to the config
    # @return [Integer] exit status
    def self.start(arguments)
      Commands.run(arguments) || new(Options.new(arguments)).start
    rescue UsageError => e
      report("#{e.message}\nTry `proxymachine --help`.", USAGE)
    rescue Error => e
      report(e.message, FAILURE)
    rescue SignalException => e
      die_of(e.signo)
    rescue StandardError, NoMemoryError => e
      place = SafeInspect.place(e.backtrace&.first)
      report("#{SafeInspect.message(e)} (#{e.class}, #{place})", FAILURE)
    end

    # @param options [Options]
    def initialize(options)
      @options = options
    end

    # @return [Integer] exit status
    def start
      return show(@options.answer) if @options.answer
      raise UsageError, "no config file: name one with -c" unless config

      require_relative "lifecycle/init"
      Lifecycle::Init.fork_server
      require_relative "lifecycle/restart_command"
      require_relative "lifecycle/working_directory"
      Lifecycle::RestartCommand.remember
      Lifecycle::WorkingDirectory.remember
      require_relative "../proxymachine"
      trap("XFSZ") { nil } # A write beyond the limit of a file's size fails instead of killing the process.
      apply_options
      return check if @options.check?
      return dry_run if @options.route_file

      @options.workers > 1 ? serve_with_workers : serve
    end

    private

    def config
      @options.config
    end

    def apply_options
      configuration = ProxyMachine.configuration
      @options.settings.each { |name, value| configuration.settings.override(name, value) }
      @options.binds.each { |address| configuration.listeners.add_fixed(address) }
    rescue ConfigError => e
      raise UsageError, e.message
    end

    # @return [Config]
    def load
      Config::Loader.load(config)
      ProxyMachine.configuration.tap { |loaded| loaded.privileges.run_as(@options.user, @options.group) }
    end

    # A check that ends early must not look like a check that passed.
    def load_to_its_end
      load
    rescue SystemExit => e
      raise ConfigError, Config::Loader.failure(e, config)
    end

    def serve
      require_relative "lifecycle/single"
      runner = Lifecycle::Single.new(config, @options.pidfile)
      ProxyMachine.runner = runner
      runner.install_traps
      ProxyMachine.configuration.listeners.default_to_systemd(runner.sockets)
      runner.load(config) { load }
      ProxyMachine.run(File.basename(config).chomp(".rb"), nil, nil)
      0
    ensure
      runner&.ended
    end

    # Each worker loads the config itself, so that workers share neither the config's connections nor its threads.
    def serve_with_workers
      require_relative "cluster"
      Cluster.new(config, @options.workers, @options.pidfile, method(:load)).run
    end

    def check
      require_relative "cli/capacity"
      require_relative "cli/check"
      require_relative "cli/upstream_text"
      load_to_its_end
      loaded = ProxyMachine.configuration
      check = Check.new(loaded, @options.pidfile, @options.workers).tap(&:run)
      warnings = [*loaded.lasting_warnings, *loaded.warnings, *check.warnings].map { |line| "warning: #{line}" }
      show(["configuration ok", *warnings, *UpstreamText.lines(loaded.upstreams),
            *Capacity.new(loaded.settings.to_h, @options.workers).lines])
    end

    def dry_run
      require_relative "cli/dry_run"
      require_relative "cli/every_cut"
      require_relative "cli/recorded_client"
      load_to_its_end
      loaded = ProxyMachine.configuration
      client = RecordedClient.of(@options.route_file, loaded)
      recorded = client.delete(:listener)
      listener = @options.listener || recorded
      command = (@options.every_cut? ? EveryCut : DryRun).new(loaded, listener, client: client)
      command.run(*@options.route_file, *@options.decrypted_file) ? 0 : FAILURE
    end

    def show(text)
      puts text
      $stdout.flush
      0
    rescue SystemCallError, IOError => e
      raise Error, "cannot write to standard output: #{SafeInspect.message(e)}"
    end
  end
end
