# frozen_string_literal: true

require "ripper"

# The messages that the program can write at WARN or ERROR and those of a failed start, read from the sources. "…"
# stands for an interpolation. A place that logs a message which cannot be found raises, so that no message is
# overlooked: write the text where it is logged, as a literal.
module ProgramMessages
  ROOT = File.expand_path("../..", __dir__)

  module_function

  # @return [Hash{String => String}] messages and their places
  def all
    RustMessages.all.merge(RubyMessages.all)
  end

  # Returns a message without the client in front, in which one "…" stands for adjacent ones.
  def normal(message)
    message.gsub(/…(?:\s*…)*/, "…").delete_prefix("… ")
  end

  # Messages in the extension: the literals in each function that logs at WARN or ERROR, or that says why a PROXY header
  # is refused.
  module RustMessages
    SEVERITY = /Severity::(?:Warn|Error)\b(?!\s*=>)/
    LITERAL = /"((?:[^"\\]|\\.)*)"/m
    # The line about a wrong PROXY header, of which #of_errors has the reasons.
    WITH_REASON = "… …. Closing."

    module_function

    def all
      files = Dir.glob("ext/{engine,proxymachine,admin}/src/**/*.rs", base: ROOT).sort
      files.flat_map { |file| of(file) + of_standard_error(file) }.to_h.merge(of_errors)
    end

    # @return [Array] [[message, place]]
    def of(file)
      functions = functions(file).map { |name, head, body| [name, head, without_calls(body, "info")] }
      passing = functions.filter_map { |name, head, body| name if passes_on?(head, body) }
      logs = Regexp.union(SEVERITY, *passing.map { |name| /\.#{name}\(/ })
      functions.flat_map { |name, head, body| body.match?(logs) ? texts(file, name, head, body) : [] }
    end

    # The lines that are written to standard error, with the name of the program.
    def of_standard_error(file)
      functions(file).flat_map do |name, _, body|
        texts = literals(body).filter_map { |text| text[/\Aproxymachine: (.*?)(?:\\n)?\z/, 1] }
        texts.map { |text| [text, "#{file}, #{name}"] }
      end
    end

    # Whether a function logs at a severity of its own a line that is its parameter. Its callers have the texts.
    def passes_on?(head, body)
      body.match?(SEVERITY) && literals(body).empty? && head.match?(/\b(?:text|line): /) && !head.include?("severity:")
    end

    def texts(file, name, head, body)
      texts = literals(body)
      # The line is a parameter, or a method of ProxyMachine::Log::Messages returns it.
      return [] if texts.empty? && (head.match?(/\b(?:text|line): /) || body.match?(/\.handler\./))
      raise "#{file}, #{name}: no text of the line found" if texts.empty?

      texts.map { |text| [text, "#{file}, #{name}"] }
    end

    # The reasons in the line "IP:PORT REASON. Closing.", and the failures of a start.
    def of_errors
      { "ext/engine/src/proxy_protocol/error.rs" => ". Closing.", "ext/engine/src/error.rs" => "",
        "ext/engine/src/tls/error.rs" => "" }
        .flat_map do |file, rest|
          texts = File.read(File.join(ROOT, file)).scan(/#\[error\(\s*"((?:[^"\\]|\\.)*)"/m).flatten
          raise "#{file}: no errors found" if texts.empty?

          texts.map { |text| ["#{plain(text)}#{rest}", file] }
        end.to_h
    end

    def literals(code)
      code.scan(LITERAL).flatten.map { |text| plain(text) }.select { |text| text.match?(/\S\s+\S/) } - [WITH_REASON]
    end

    def plain(literal)
      literal.gsub(/\\\n\s*/, "").gsub(/\{[^{}]*\}/, "…").gsub('\"', '"')
    end

    # @return [Array] the functions of a file: [[name, head, body]]
    def functions(file)
      code = File.read(File.join(ROOT, file)).gsub(%r{^\s*//.*$}, "").sub(/^#\[cfg\(test\)\]\nmod \w+ \{.*\z/m, "")
      code.enum_for(:scan, /\bfn (\w+)/).map do
        match = Regexp.last_match
        start = code.index(/[{;]/, match.end(0))
        body = code[start] == "{" ? code[start..closing(code, start, "{", "}")] : ""
        [match[1], code[match.begin(0)...start], body]
      end
    end

    # Removes the calls of a method, from its name to the closing parenthesis.
    def without_calls(code, method)
      while (start = code.index(/\b#{method}\(/))
        code = code[0...start] + code[(closing(code, code.index("(", start), "(", ")") + 1)..]
      end
      code
    end

    # @return [Integer] where the bracket that opens at an index is closed; brackets in literals do not count
    def closing(code, index, open, close)
      depth = 0
      code[index..].scan(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)'|[#{Regexp.escape(open + close)}]/m) do |token|
        depth += { open => 1, close => -1 }.fetch(token, 0)
        return index + Regexp.last_match.begin(0) if depth.zero?
      end
      raise "no #{close} for the #{open} at #{index}"
    end
  end

  # Messages in lib: arguments of the methods that log, and of +raise+ for a start that fails. Commands that serve
  # nothing are left out.
  module RubyMessages
    ERRORS = %w[StartError ConfigError ExtensionError ForkError Failed].freeze
    LEVELS = %w[warn error].freeze
    # Commands that serve nothing, and the sniffers: what they raise is no failed start.
    COMMANDS = %r{/(?:dry_run|top|options|explain|sniffers)\b}
    # Methods that make a message for another one.
    MAKERS = { "lib/proxymachine/cluster/config_probe.rb" => "await",
               "lib/proxymachine/config.rb" => "lasting_warnings",
               "lib/proxymachine/config/loader.rb" => "exited",
               "lib/proxymachine/config/tls_warnings.rb" => "line",
               "lib/proxymachine/log/losses.rb" => "report",
               "lib/proxymachine/upstreams/lister.rb" => "wait" }.freeze

    module_function

    def all
      files = Dir.glob("lib/**/*.rb", base: ROOT).sort
      files.flat_map { |file| of(file) }.to_h.merge(of_blocks, of_makers)
    end

    def of(file)
      calls(Ripper.sexp(File.read(File.join(ROOT, file)))).filter_map do |receiver, (name, line), arguments|
        text = logged(receiver, name, arguments) || (file.match?(COMMANDS) ? nil : raised(name, arguments)) or next
        message = message(text, "#{file}:#{line}")
        [message, "#{file}:#{line}"] if message
      end
    end

    # @return [String, nil] nil for a variable, which holds a message that was made elsewhere, and for "NAME MESSAGE"
    def message(text, place)
      template = template(text)
      return if template == "… …" || (template.nil? && variable?(text))

      template || raise("#{place}: no text of the line found")
    end

    # The lines about blocks: the last expression of each method.
    def of_blocks
      file = "lib/proxymachine/log/messages.rb"
      methods = nodes(Ripper.sexp(File.read(File.join(ROOT, file)))).select { |node| node[0] == :def }
      public_ones = methods.take_while { |node| node[1][1] != "place" }.reject { |node| node[1][1] == "answered" }
      public_ones.to_h do |node|
        body = node[3][1].last
        [template(body) || raise("#{file}, #{node[1][1]}: no text of the line found"), "#{file}, #{node[1][1]}"]
      end
    end

    # The literals in methods that make a message for another method to log or to raise.
    def of_makers
      MAKERS.flat_map do |file, name|
        tree = nodes(Ripper.sexp(File.read(File.join(ROOT, file))))
        methods = tree.select { |node| node in [:def, [_, ^name, *], *] | [:defs, _, _, [_, ^name, *], *] }
        messages = methods.flat_map { |node| nodes(node).filter_map { |inner| template(inner) } }
        raise "#{file}: no method #{name} with a message" if messages.empty?

        messages.map { |message| [message, "#{file}, #{name}"] }
      end.to_h
    end

    # @return [Array<String>] the files that log at WARN or ERROR, but have no message of their own
    def without_message
      makers = [*of_blocks, *of_makers].map { |_, place| place[/\A[^,]+/] }
      (Dir.glob("lib/**/*.rb", base: ROOT).sort - makers).select do |file|
        code = File.read(File.join(ROOT, file)).gsub(/^\s*#.*/, "")
        code.match?(/(?<![\w:]):(?:warn|error)\b|\.(?:warn|error)\b|\b(?:WARN|ERROR)\b/) && of(file).empty?
      end
    end

    # @return [Array, nil] the text that a call logs
    def logged(receiver, name, arguments)
      level = (arguments[0] in [:symbol_literal, [:symbol, [:@ident, ("warn" | "error"), *]]])
      return arguments[1] if level && arguments.size == 2

      arguments[0] if LEVELS.include?(name) && receiver && arguments.size == 1
    end

    # @return [Array, nil] the text with which a call raises one of ERRORS
    def raised(name, arguments)
      arguments[1] if name == "raise" && arguments.size > 1 && ERRORS.include?(nodes(arguments[0]).last&.dig(1))
    end

    # @return [Array] [[receiver, [name, line], arguments]] of the calls with arguments
    def calls(tree)
      nodes(tree).filter_map do |node|
        case node
        in [:command, method, list] then call(nil, method, list)
        in [:command_call, receiver, _, method, list] then call(receiver, method, list)
        in [:method_add_arg, [:fcall, method], list] then call(nil, method, list)
        in [:method_add_arg, [:call, receiver, _, Array => method], list] then call(receiver, method, list)
        else nil
        end
      end
    end

    def call(receiver, method, list)
      _, name, (line,) = method
      [receiver, [name, line], arguments(list)]
    end

    def arguments(list)
      case list
      in [:arg_paren, inner] then arguments(inner)
      in [:args_add_block, [*all], *] then all
      else []
      end
    end

    # @return [String, nil] the text of a literal
    def template(node)
      case node
      in [:string_literal, [:string_content, *parts]]
        parts.map { |part| part[0] == :@tstring_content ? part[1].gsub('\"', '"') : "…" }.join
      in [:string_concat, first, second] then template(first) + template(second)
      else nil
      end
    end

    def variable?(node)
      nodes(node).none? { |inner| %i[string_literal dyna_symbol].include?(inner[0]) }
    end

    def nodes(tree, found = [])
      return found unless tree.is_a?(Array)

      found << tree if tree[0].is_a?(Symbol)
      tree.each { |child| nodes(child, found) }
      found
    end
  end
end
