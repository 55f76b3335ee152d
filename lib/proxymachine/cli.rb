# frozen_string_literal: true

require "optparse"
require_relative "version"
require_relative "errors"

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
      @host = "0.0.0.0"
      @port = 5432
      parse(arguments)
      return show(@answer) if @answer
      raise UsageError, "no config file: name one with -c" unless @config

      require_relative "config_file"
      require_relative "../proxymachine"
      ConfigFile.load(@config)
      ProxyMachine.run(File.basename(@config).chomp(".rb"), @host, @port)
      0
    end

    private

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
