# frozen_string_literal: true

require_relative "../extension"

class ProxyMachine
  class CLI
    # Says what termination codes mean and what to do about them: `proxymachine explain [CODE ...]`. The texts are those
    # of docs/logs.md, from the engine's table.
    # @api private
    class Explain
      # @param out [IO]
      def initialize(out: $stdout)
        @codes = Engine.termination_codes.to_h { |code| [code.fetch(:letters), code] }
        @out = out
      end

      # @param arguments [Array<String>] codes; without any, all codes are listed
      # @return [Integer] exit status
      # @raise [UsageError] if there is no such code
      def run(arguments)
        unknown = arguments - @codes.keys
        raise UsageError, complaint(unknown.first) if unknown.any?

        @out.puts(arguments.empty? ? list : arguments.map { |letters| text(@codes[letters]) }.join("\n"))
        0
      end

      private

      def list
        width = @codes.each_value.map { |code| plain(code[:meaning]).size }.max
        @codes.each_value.map do |code|
          "#{code[:letters]}  #{plain(code[:meaning]).ljust(width)}  #{"error" if code[:is_error]}".rstrip
        end
      end

      def text(code)
        error = code[:is_error] ? "an error" : "occurs in ordinary use"
        "#{code[:letters]}: #{plain(code[:meaning])} (#{error})\n" \
          "  cause:  #{plain(code[:cause])}\n" \
          "  remedy: #{plain(code[:cure])}\n"
      end

      # The table is in Markdown.
      def plain(markdown)
        markdown.delete("`").gsub(/\[([^\]]*)\]\(([^)#]*)[^)]*\)/, '\1 (docs/\2)')
      end

      def complaint(letters)
        similar = @codes.keys.select { |code| code.casecmp?(letters) }
        hint = similar.any? ? "did you mean #{similar.join(" or ")}?" : "proxymachine explain lists all"
        "no termination code #{SafeInspect.inspect(letters)}: #{hint}"
      end
    end
  end
end
