# frozen_string_literal: true

require_relative "../extension"
require_relative "../testing/cuts"
require_relative "../testing/questioning"

class ProxyMachine
  class CLI
    # Compares the decisions for the bytes of a file, however they are cut: `proxymachine --route FILE --every-cut`.
    # @api private
    class EveryCut
      # @param config [Config]
      # @param listener [String, nil] the name of the client's listener
      # @param client [Hash] +:ip+, +:port+ and +:tls+ of the client
      # @param out [IO]
      def initialize(config, listener = nil, client: {}, out: $stdout)
        @config = config
        @client = { listener: listener, **client }
        @out = out
      end

      # Calls the blocks for each way of cutting the bytes, and shows the decision, or the first cut with another one.
      # @param file [String] a path, or - for standard input
      # @return [Boolean] whether the decisions are alike, and the block neither raised nor gave an invalid answer
      # @raise [ConfigError] if the file cannot be read, or no block routes the clients of the listener
      def run(file)
        cuts = Testing::Cuts.new(questioning(read(file)))
        @out.puts cuts.lines
        cuts.differing.empty? && cuts.whole.problem.nil?
      end

      private

      def questioning(bytes)
        Testing::Questioning.new(@config, bytes, **@client)
      rescue ArgumentError => e
        raise ConfigError, e.message
      end

      def read(file)
        file == "-" ? $stdin.binmode.read : File.binread(file)
      rescue SystemCallError => e
        raise ConfigError, "cannot read #{SafeInspect.utf8(file)}: #{SafeInspect.message(e)}"
      end
    end
  end
end
