# frozen_string_literal: true

require "optparse"
require_relative "version"
require_relative "errors"
require_relative "text"
require_relative "settings"

class ProxyMachine
  # The command line: options, the config file, and one clear sentence for whatever goes wrong.
  # Answers --help and --version without the rest of the gem.
  class CLI
    # Exit statuses.
    USAGE = 2
    FAILURE = 1

    # @param arguments [Array<String>] options are taken out, the rest is left to the config
    # @return [Integer] exit status
    def self.start(arguments)
      new.start(arguments)
    rescue UsageError => e
      complain("#{e.message}\nTry `proxymachine --help`.", USAGE)
    rescue Error => e
      complain(e.message, FAILURE)
    rescue SignalException => e
      die_of(e.signo)
    end

    # As the system does it: without Ruby's backtrace, and with the status that tells the signal.
    def self.die_of(signal)
      trap(signal, "SYSTEM_DEFAULT")
      Process.kill(signal, Process.pid)
      sleep
    end

    def self.complain(message, status)
      $stderr.puts "proxymachine: #{message}" # rubocop:disable Style/StderrPuts -- a config may silence warnings
      status
    end
    private_class_method :complain, :die_of

    def start(arguments)
      @overriding = []
      @binds = []
      parse(arguments)
      return show(@answer) if @answer
      raise UsageError, "no config file: name one with -c" unless @config

      require_relative "config_file"
      require_relative "../proxymachine"
      apply
      ConfigFile.load(@config)
      serve
      0
    end

    # Where it listens if nobody says otherwise.
    HOST = "0.0.0.0"
    PORT = 5432
    private_constant :HOST, :PORT

    private

    # What the command line says holds, whatever the config says.
    def apply
      @overriding.each { |name, value| ProxyMachine.settings.override(name, value) }
      @binds.each { |address| ProxyMachine.listeners.add(address) }
    rescue ConfigError => e
      raise UsageError, e.message
    end

    def serve
      ProxyMachine.privileges.become(@user, @group)
      name = File.basename(@config).chomp(".rb")
      # A config that says where to listen needs no default.
      if @host || @port || ProxyMachine.listeners.empty?
        ProxyMachine.run(name, @host || HOST, @port || PORT)
      else
        ProxyMachine.run(name, nil, nil)
      end
    end

    def parse(arguments)
      parser.parse!(arguments)
    rescue OptionParser::ParseError => e
      raise UsageError, e.message
    end

    def parser
      OptionParser.new do |options|
        options.banner = "Usage:\n  proxymachine -c <config file> [-h <host>] [-p <port>]\n\nOptions:"
        options.on("-cCONFIG", "--config CONFIG", "Configuration file") { |path| @config = path }
        options.on("-hHOST", "--host HOST", "Hostname to bind. Default 0.0.0.0") { |host| @host = host }
        options.on("-pPORT", "--port PORT", "Port to listen on. Default 5432, 0 takes a free one") do |port|
          @port = port_number(port)
        end
        options.on("--bind ADDRESS", "Listen there, too: host:port, unix:/path or unix:@name. Repeatable") do |address|
          @binds << address
        end
        options.on("--user USER", "Become this user once the ports are bound") { |user| @user = user }
        options.on("--group GROUP", "Become this group; default is the user's") { |group| @group = group }
        Settings::ALL.each do |name, setting|
          flag = "--#{name.to_s.tr("_", "-")} #{setting.placeholder}"
          options.on(flag, setting.description) { |value| @overriding << [name, value] }
        end
        options.on("--help", "Show this text") { @answer = options.help }
        options.on("--version", "Show the version") { @answer = "proxymachine #{VERSION}" }
      end
    end

    def port_number(text)
      port = Integer(text, 10, exception: false)
      return port if port&.between?(0, 65_535)

      raise UsageError, "invalid port #{text.inspect}: -p takes a number from 0 to 65535"
    end

    def show(text)
      puts text
      0
    end
  end
end
