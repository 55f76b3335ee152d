# frozen_string_literal: true

require "optparse"
require_relative "../errors"
require_relative "../safe_inspect"

class ProxyMachine
  class CLI
    # Writes a first config, with comments: `proxymachine init [FILE]`. The packages install the same text.
    # @api private
    class Init
      # The name of the file if the command line has none.
      FILE = "config.rb"
      # The file with the text of a first config.
      TEMPLATE = File.expand_path("config.rb.template", __dir__)

      # @param out [IO]
      def initialize(out: $stdout)
        @out = out
      end

      # Writes the file. An existing file stays as it is.
      # @param arguments [Array<String>] the arguments after "init": a path, or none
      # @return [Integer] exit status
      # @raise [UsageError] if they cannot be understood
      # @raise [Error] if the file exists or cannot be written
      def run(arguments)
        parser.parse!(arguments)
        return show(@help) if @help
        raise UsageError, "init takes one file, not #{arguments.size}" if arguments.size > 1

        path = arguments.first || FILE
        return show(File.read(TEMPLATE)) if path == "-"

        write(path)
        show("Wrote #{SafeInspect.utf8(path)}. Edit it, check it with `proxymachine -t -c FILE`, and serve with " \
             "`proxymachine -c FILE`.")
      rescue OptionParser::ParseError => e
        raise UsageError, SafeInspect.message(e)
      end

      # @return [OptionParser] all flags, with their texts for --help and the completion of shells
      def parser
        OptionParser.new do |options|
          options.banner = "Usage:\n  proxymachine init [<file>]\n\nWrites a first config with comments. " \
                           "The default file is #{FILE}; - is stdout.\n\nOptions:"
          options.on("--help", "Show this text") { @help = options.help }
        end
      end

      private

      # O_EXCL, so that two calls at once do not overwrite each other's file, and no symbolic link is followed.
      def write(path)
        File.open(path, File::WRONLY | File::CREAT | File::EXCL) { |file| file.write(File.read(TEMPLATE)) }
      rescue Errno::EEXIST
        raise Error, "#{SafeInspect.utf8(path)} exists, and init overwrites nothing: name another file"
      rescue SystemCallError => e
        raise Error, "cannot write #{SafeInspect.utf8(path)}: #{SafeInspect.message(e).sub(/ @ rb_\w+ - .*/m, "")}"
      end

      def show(text)
        @out.puts text
        0
      end
    end
  end
end
