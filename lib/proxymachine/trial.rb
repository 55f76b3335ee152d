# frozen_string_literal: true

require_relative "extension"

class ProxyMachine
  # Shows what a config's block would answer: `proxymachine --route FILE`.
  # @api private
  class Trial
    # What the server reads at once from a client that is not decided.
    CHUNK = 16 * 1024
    private_constant :CHUNK

    # @param blocks [Blocks]
    # @param listener [String, nil] the name of the listener at which the bytes come in
    def initialize(blocks, listener = nil, out: $stdout)
      @block = blocks.router(listener&.to_sym)
      raise ConfigError, "no proxy block for #{who(listener)}" unless @block

      @listener = listener
      @out = out
    end

    # Feeds the block as the server does: with all that has come, after each chunk.
    # @param file [String] a path, or - for standard input
    # @return [Boolean] whether it came to a decision
    def run(file)
      data = String.new(encoding: Encoding::BINARY)
      each_chunk(file) do |chunk|
        data << chunk
        return true if decides?(data)
      end
      @out.puts "no decision after #{data.bytesize} bytes"
      false
    rescue SystemCallError => e
      raise ConfigError, "cannot read #{file}: #{e.message}"
    end

    private

    def who(listener)
      listener ? "the listener #{listener.inspect}" : "clients without a listener's name: say --listener NAME"
    end

    def each_chunk(file)
      input = file == "-" ? $stdin : File.open(file, "rb")
      loop { yield input.readpartial(CHUNK) }
    rescue EOFError
      nil
    end

    def decides?(data)
      answer = ask(data)
      @out.puts "after #{data.bytesize} bytes: #{Text.inspect(answer)}"
      meaning, decided = Engine.explain(answer)
      @out.puts "  #{meaning}"
      decided
    end

    def ask(data)
      @block.call(data.dup, Client.new(@listener&.to_sym, CLIENT))
    rescue StandardError, ScriptError => e
      place = e.backtrace&.first.to_s[/\A.*?:\d+/]
      raise ConfigError, "#{place}: the proxy block raised #{e.class}: #{e.message.lines.first&.chomp}"
    end

    # Who seems to ask: see Client.
    CLIENT = ["127.0.0.1", 0, "127.0.0.1", 0, "--route", [], 0.0].freeze
    private_constant :CLIENT
  end
end
