# frozen_string_literal: true

require "optparse"
require_relative "version"
require_relative "errors"
require_relative "settings"

class ProxyMachine
  # What the command line says.
  # @api private
  class Options
    # @return [String, nil] path of the config file
    attr_reader :config
    # @return [Array<String>] where to listen before all that the config says, and what else
    attr_reader :binds
    # @return [Array] settings that hold whatever the config says: [[name, value]]
    attr_reader :settings
    # @return [String, nil]
    attr_reader :user, :group, :pidfile
    # @return [Integer] processes that serve
    attr_reader :workers
    # @return [String, nil] what to print instead of serving
    attr_reader :answer
    # @return [Boolean] whether to check the config instead of serving
    attr_reader :check
    # @return [String, nil] the file, or - for standard input, whose bytes to decide about instead of serving
    attr_reader :trial
    # @return [String, nil] the name of the listener at which they come in
    attr_reader :listener

    # Where it listens if only one half is said.
    HOST = "0.0.0.0"
    PORT = 5432
    private_constant :HOST, :PORT

    # @param arguments [Array<String>] options are taken out, the rest is left to the config
    # @raise [UsageError]
    def initialize(arguments)
      @settings = []
      @binds = []
      @workers = 1
      parser.parse!(arguments)
      @binds.unshift("#{@host || HOST}:#{@port || PORT}") if @host || @port
    rescue OptionParser::ParseError => e
      raise UsageError, e.message
    end

    # @return [OptionParser] all flags, each with the text that --help and the man page show
    def parser
      OptionParser.new do |options|
        options.banner = "Usage:\n  proxymachine -c <config file> [-h <host>] [-p <port>]\n" \
                         "  proxymachine top --admin <address>\n\nOptions:"
        define_addresses(options)
        define_process(options)
        Settings::ALL.each do |name, setting|
          flag = "--#{name.to_s.tr("_", "-")} #{setting.placeholder}"
          options.on(flag, setting.description) { |value| @settings << [name, value] }
        end
        define_instead(options)
      end
    end

    private

    def define_addresses(options)
      options.on("-cCONFIG", "--config CONFIG", "Configuration file") { |path| @config = path }
      options.on("-hHOST", "--host HOST", "Hostname to bind. Default 0.0.0.0") { |host| @host = host }
      options.on("-pPORT", "--port PORT", "Port to listen on. Default 5432, 0 takes a free one") do |port|
        @port = port_number(port)
      end
      options.on("--bind ADDRESS", "Listen there, too: host:port, unix:/path or unix:@name. Repeatable") do |address|
        @binds << address
      end
    end

    def define_process(options)
      options.on("--user USER", "Become this user once the ports are bound") { |user| @user = user }
      options.on("--group GROUP", "Become this group; default is the user's") { |group| @group = group }
      options.on("--workers N", Integer, "Processes that serve, each with a Ruby of its own. Default 1") do |count|
        @workers = count
        raise UsageError, "--workers takes a number above 0, not #{count}" unless count.positive?
      end
      options.on("--pidfile FILE", "Write the process id there while it serves") { |path| @pidfile = path }
    end

    def define_instead(options)
      options.on("-t", "--check", "Check the configuration, say what is wrong, and exit") { @check = true }
      options.on("--route FILE", "Show what the block answers to the bytes of FILE (- is stdin), and exit") do |file|
        @trial = file
      end
      options.on("--listener NAME", "With --route: as if they came in at that listener") { |name| @listener = name }
      options.on("--help", "Show this text") { @answer = options.help }
      options.on("--version", "Show the version") { @answer = "proxymachine #{VERSION}" }
    end

    def port_number(text)
      port = Integer(text, 10, exception: false)
      return port if port&.between?(0, 65_535)

      raise UsageError, "invalid port #{text.inspect}: -p takes a number from 0 to 65535"
    end
  end
end
