# frozen_string_literal: true

require_relative "../extension"
require_relative "../testing/client"
require_relative "../testing/questioning"
require_relative "upstream_states"
require_relative "upstream_text"

class ProxyMachine
  class CLI
    # Shows the answers of a config's block to the bytes of a file: `proxymachine --route FILE`.
    # @api private
    class DryRun
      # The engine's buffer size for undecided clients: a block is called after so many bytes at a time.
      CHUNK_SIZE = 16 * 1024
      # The client, see Client#initialize.
      CLIENT = ["127.0.0.1", 0, "127.0.0.1", 0, "--route", [], 0.0, 1].freeze
      private_constant :CHUNK_SIZE, :CLIENT

      # @param config [Config]
      # @param listener [String, nil] the name of the client's listener
      # @param client [Hash] +:ip+, +:port+ and +:tls+ of the client
      # @param out [IO]
      # @raise [ConfigError] if no block routes the clients of that listener
      def initialize(config, listener = nil, client: {}, out: $stdout)
        @block = config.blocks.router(listener&.to_sym)
        raise ConfigError, "no proxy block for #{describe(listener)}" unless @block

        @accept = config.blocks[:accept]
        @upstreams = config.upstreams.tap(&:check)
        @states = UpstreamStates.new(config.settings.to_h[:admin])
        @limit = config.settings.to_h[:max_preread]
        @listener = listener
        @about = [*client.values_at(:ip, :port), *CLIENT.drop(2)] if client.any?
        @tls = Testing::TLS.from(client[:tls] || begins_with_tls?(config, listener))
        @out = out
      end

      # Calls the blocks as the server does: +proxy_accept+ first, then +proxy+ after each chunk with all bytes so far.
      # If an answer ends TLS, the next file has the decrypted bytes. If +proxy_accept+ does, the first file has them.
      # @param file [String] a path, or - for standard input
      # @param decrypted [String, nil] the next file
      # @return [Boolean] whether a block decided
      # @raise [ConfigError] if a file cannot be read, or a block raises
      def run(file, decrypted = nil)
        kind = decide(file)
        kind = route(decrypted, "decrypted bytes") if kind == :tls && decrypted
        @out.puts "  (another --route FILE shows the answers to them)" if kind == :tls
        kind != :wait
      end

      private

      # Asks +proxy_accept+, then +proxy+.
      def decide(file)
        greeting = @accept ? ask(@accept, "proxy_accept", "at once") : :wait
        @tls ||= Testing::TLS.new if greeting == :tls
        case greeting
        when :wait then route(file, "bytes")
        when :tls then route(file, "decrypted bytes")
        else greeting
        end
      end

      # Returns the kind of the last answer; +:wait+ if there was no decision.
      def route(file, unit)
        data = String.new(encoding: Encoding::BINARY)
        each_chunk(file) do |chunk|
          data << chunk
          kind = ask(@block, "proxy", "after #{data.bytesize} #{unit}", data)
          @tls = handshake(data) if kind == :tls
          return kind unless kind == :wait
          break if data.bytesize >= @limit
        end
        @out.puts "no decision after #{data.bytesize} #{unit}#{": max_preread closes it" if data.bytesize >= @limit}"
        :wait
      rescue SystemCallError => e
        raise ConfigError, "cannot read #{SafeInspect.utf8(file)}: #{SafeInspect.message(e)}"
      end

      # Returns what +client.tls+ says after the handshake that the bytes begin, as far as they tell.
      def handshake(data)
        hello = ProxyMachine::TLS.client_hello(data)
        Testing::TLS.new(sni: hello.is_a?(ProxyMachine::TLS::ClientHello) ? hello.sni : nil)
      end

      def describe(listener)
        listener ? "the listener #{listener.inspect}" : "clients without a listener's name: name one with --listener"
      end

      # Returns whether the connections of the listener begin with TLS. The file then has the decrypted bytes.
      def begins_with_tls?(config, name)
        listener = config.listeners.to_a.find { |one| one[:name]&.to_s == name&.to_s }
        !listener.nil? && !listener[:tls].nil?
      end

      def each_chunk(file)
        input = file == "-" ? $stdin : File.open(file, "rb")
        loop { yield input.readpartial(CHUNK_SIZE) }
      rescue EOFError
        nil
      end

      # Calls a block, and shows its answer and what it means.
      # @return [Symbol] the kind of the answer: +:connect+, +:close+, +:wait+ or +:tls+
      def ask(block, verb, moment, *data)
        answer = call(block, verb, *data)
        @out.puts "#{moment}: #{SafeInspect.inspect(answer)}"
        # nil from proxy_accept waits.
        arguments = [data.empty? ? answer || :noop : answer, data.empty?, @upstreams.map { |one| one.name.to_s }]
        meaning = Engine.explain(*arguments)
        kind, = Engine.read_answer(*arguments)
        raise ConfigError, "the answer means nothing: #{Testing::Questioning::TWICE}" if kind == :tls && @tls

        @out.puts "  #{meaning}"
        chosen(answer).each { |upstream| @out.puts "  #{UpstreamText.line(upstream)}", "    #{@states.line(upstream)}" }
        kind
      end

      # Returns the upstreams of an answer, each once.
      def chosen(answer)
        remotes = answer.instance_of?(Hash) ? answer[:remote] : answer
        [*remotes].grep(Symbol).uniq.filter_map { |name| @upstreams[name] }
      end

      def call(block, verb, *data)
        client = Testing::Client.new(@listener&.to_sym, @about || CLIENT, @tls)
        data.empty? ? block.callable.call(client) : block.call(data.first.dup, client)
      rescue SystemExit, SignalException
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- a block may raise anything
        place = SafeInspect.place(e.backtrace&.first)
        raise ConfigError, "#{place}: the #{verb} block raised #{e.class}: #{SafeInspect.message(e)}"
      end
    end
  end
end
