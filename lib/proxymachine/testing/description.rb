# frozen_string_literal: true

require_relative "../safe_inspect"

class ProxyMachine
  module Testing
    # Decisions in words, for failure messages, Decision#inspect and the command line.
    # @api private
    module Description
      # What the names of classes begin with that a config has defined.
      ANONYMOUS = /#<Module:0x\h+>::/
      # Cuts that a message names beside the first.
      MAX_CUTS = 10
      private_constant :ANONYMOUS, :MAX_CUTS

      class << self
        # @param decision [Decision]
        # @return [String] one line: what happens, what was answered, and how often the block was asked
        def decision(decision)
          asked = "#{decision.calls} call#{"s" unless decision.calls == 1}"
          answer = decision.calls.zero? || decision.error ? "" : "answer #{object(decision.answer)}, "
          "#{effect(decision)} (#{answer}#{asked})"
        end

        # @param decision [Decision]
        # @return [String] what happens
        def effect(decision)
          return "closes the connection: #{decision.problem}" if decision.problem
          return "#{says(decision.words)}closes the connection" if decision.close?
          return "#{says(decision.words)}waits for more" if decision.waits?
          return "#{says(decision.words)}ends TLS here" if decision.tls?

          decision.meaning
        end

        # @param decision [Decision]
        # @return [String] how what the client sends was cut
        def cut(decision)
          case cut = decision.cut
          when nil then "in one piece"
          when :bytes then "byte by byte"
          else "cut after #{count(cut)}"
          end
        end

        # @param bytes [Integer]
        # @return [String] the number, with its unit
        def count(bytes)
          "#{bytes} byte#{"s" unless bytes == 1}"
        end

        # @param whole [Decision]
        # @param differing [Array<Decision>]
        # @return [Array<String>] lines: the decision for the whole, the first that differs, and the other cuts
        def cuts(whole, differing)
          first, *others = differing
          more = others.first(MAX_CUTS).map { |decision| cut(decision).delete_prefix("cut ") }
          more << "#{others.size - MAX_CUTS} more" if others.size > MAX_CUTS
          ["#{cut(whole)}: #{decision(whole)}", "#{cut(first)}: #{decision(first)}",
           *("also different: #{more.join(", ")}" if more.any?)]
        end

        # @param bytes [String]
        # @return [String] their inspect, cut
        def bytes(bytes)
          text = SafeInspect.utf8(bytes)
          SafeInspect.inspect(text.valid_encoding? ? text : bytes.b)
        end

        # @param exception [Exception]
        # @return [String] class, message and place
        def exception(exception)
          place = SafeInspect.place(exception.backtrace&.find { |entry| !entry.start_with?(__dir__) })
          text("#{exception.class}: #{SafeInspect.message(exception)}#{" (#{place})" unless place.empty?}")
        end

        # @param object [Object]
        # @return [String] its inspect
        def object(object)
          text(SafeInspect.inspect(object))
        end

        private

        def text(text)
          text.gsub(ANONYMOUS, "")
        end

        def says(words)
          words ? "says #{bytes(words)} and " : ""
        end
      end
    end
  end
end
