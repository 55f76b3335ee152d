# frozen_string_literal: true

require "optparse"
require_relative "../config/settings"
require_relative "../errors"
require_relative "../version"

class ProxyMachine
  class CLI
    # The parsed command line.
    # @api private
    class Options
      # @return [String, nil] path of the config file
      attr_reader :config
      # @return [Array<String>] addresses to listen on, before those of the config
      attr_reader :binds
      # @return [Array] settings that override the config: [[name, value]]
      attr_reader :settings
      # @return [String, nil]
      attr_reader :user, :group, :pidfile
      # @return [Integer] number of worker processes
      attr_reader :workers
      # @return [String, nil] a text to print instead of serving
      attr_reader :answer
      # @return [String, nil] a file, or - for standard input: the block's answers to its bytes are shown
      attr_reader :route_file
      # @return [String, nil] the file with the bytes that #route_file is followed by when TLS has ended
      attr_reader :decrypted_file
      # @return [String, nil] the listener's name, with #route_file
      attr_reader :listener

      # The address if only host or port are given.
      HOST = "0.0.0.0"
      PORT = 5432
      private_constant :HOST, :PORT

      # @param arguments [Array<String>] options are removed, the rest is left to the config
      # @raise [UsageError] if the options cannot be understood
      def initialize(arguments)
        @settings = []
        @binds = []
        @workers = 1
        parse(arguments)
        @binds.unshift("#{@host || HOST}:#{@port || PORT}") if @host || @port
      rescue OptionParser::ParseError => e
        raise UsageError, SafeInspect.message(e).gsub(/[[:cntrl:]]/) { |c| c.dump[1..-2] }
      end

      # Whether the config is checked instead of served.
      def check? = @is_check

      # Whether the decisions for all ways of cutting #route_file are compared.
      def every_cut? = @is_every_cut

      # @return [OptionParser] all flags, with their texts for --help and the man page
      def parser
        OptionParser.new do |options|
          options.banner = "Usage:\n  proxymachine -c <config file> [-h <host>] [-p <port>]\n" \
                           "  proxymachine top --admin <address>\n" \
                           "  proxymachine explain [<termination code>]\n" \
                           "  proxymachine init [<file>]\n\nOptions:"
          define_addresses(options)
          define_process(options)
          Config::Settings::ALL.each do |name, setting|
            flag = ["--#{name.to_s.tr("_", "-")}", *setting.placeholder].join(" ")
            options.on(flag, setting.description) { |value| @settings << [name, value] }
          end
          define_commands(options)
        end
      end

      private

      def parse(arguments)
        SafeInspect.arguments!(arguments)
        parser.parse!(arguments)
        raise UsageError, "--every-cut needs --route FILE" if @is_every_cut && !@route_file
        raise UsageError, "--every-cut takes one --route FILE" if @is_every_cut && @decrypted_file
      end

      def define_addresses(options)
        options.on("-cCONFIG", "--config CONFIG", "Configuration file") { |path| @config = path }
        options.on("-hHOST", "--host HOST", "Address or hostname to bind. Default 0.0.0.0") { |host| @host = host }
        options.on("-pPORT", "--port PORT", "Port to bind. Default 5432, 0 takes a free one") do |port|
          @port = port_number(port)
        end
        options.on("--bind ADDRESS", "Address to bind, too: host:port, unix:/path or unix:@name. Repeatable") do |text|
          @binds << text
        end
      end

      def define_process(options)
        options.on("--user USER", "User to switch to after binding. Default none") { |user| @user = user }
        options.on("--group GROUP", "Group to switch to after binding. Default the user's") { |group| @group = group }
        options.on("--workers N", Integer, "Number of worker processes, each with its own Ruby. Default 1") do |count|
          @workers = count
          raise UsageError, "--workers takes a number above 0, not #{count}" unless count.positive?
        end
        options.on("--pidfile FILE", "File for the process id while serving. Default none") { |path| @pidfile = path }
      end

      def define_commands(options)
        options.on("-t", "--check", "Check the configuration, report errors, and exit") { @is_check = true }
        options.on("--route FILE",
                   "Show the answers to the bytes of FILE (- is stdin; again: decrypted), and exit") do |file|
          @route_file ? @decrypted_file = file : @route_file = file
        end
        options.on("--every-cut", "With --route: show whether the answer depends on how FILE is cut, and exit") do
          @is_every_cut = true
        end
        options.on("--listener NAME", "Listener whose block --route calls") { |name| @listener = name }
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
end
