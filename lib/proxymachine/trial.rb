# frozen_string_literal: true

require_relative "extension"

class ProxyMachine
  # Shows what a config's block would answer: `proxymachine --route FILE`.
  # @api private
  class Trial
    # What the server reads at once from a client that is not decided.
    CHUNK = 16 * 1024
    private_constant :CHUNK

    # @param configuration [Configuration]
    # @param listener [String, nil] the name of the listener at which the bytes come in
    def initialize(configuration, listener = nil, out: $stdout)
      @block = configuration.blocks.router(listener&.to_sym)
      raise ConfigError, "no proxy block for #{who(listener)}" unless @block

      @accept = configuration.blocks[:accept]
      @limit = configuration.settings.to_h[:max_preread]
      @listener = listener
      @out = out
    end

    # Feeds the blocks as the server does: the one for clients that have said nothing yet, then the other one with all
    # that has come, after each chunk.
    # @param file [String] a path, or - for standard input
    # @return [Boolean] whether it came to a decision
    def run(file)
      return true if @accept && decides?(@accept, "proxy_accept", "at once")

      data = String.new(encoding: Encoding::BINARY)
      each_chunk(file) do |chunk|
        data << chunk
        return true if decides?(@block, "proxy", "after #{data.bytesize} bytes", data)
        break if data.bytesize >= @limit
      end
      @out.puts "no decision after #{data.bytesize} bytes#{": max_preread closes it" if data.bytesize >= @limit}"
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

    def decides?(block, name, moment, *data)
      answer = ask(block, name, *data)
      @out.puts "#{moment}: #{Text.inspect(answer)}"
      # Whoever is asked before a byte has come may say nothing.
      meaning, decided = Engine.explain(data.empty? ? answer || :noop : answer, data.empty?)
      @out.puts "  #{meaning}"
      decided
    end

    def ask(block, name, *data)
      client = Client.new(@listener&.to_sym, CLIENT)
      data.empty? ? block.callable.call(client) : block.call(data.first.dup, client)
    rescue SystemExit, SignalException
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException -- whatever a block may raise
      place = e.backtrace&.first.to_s[/\A.*?:\d+/]
      raise ConfigError, "#{place}: the #{name} block raised #{e.class}: #{e.message.lines.first&.chomp}"
    end

    # Who seems to ask: see Client.
    CLIENT = ["127.0.0.1", 0, "127.0.0.1", 0, "--route", [], 0.0].freeze
    private_constant :CLIENT
  end
end
