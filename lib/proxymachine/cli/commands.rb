# frozen_string_literal: true

require_relative "../safe_inspect"

class ProxyMachine
  class CLI
    # The commands beside serving, by the first word of the command line. Each loads only the files that it needs.
    # @api private
    module Commands
      # The names of the commands.
      ALL = %w[explain init top].freeze

      module_function

      # @param arguments [Array<String>] the command line
      # @return [Integer, nil] the exit status, or nil if the first word is no command
      # @raise [Error] what the command raises
      def run(arguments)
        name, *rest = arguments
        return unless ALL.include?(name)

        send(name, SafeInspect.arguments!(rest))
      end

      # @return [Integer] exit status
      def top(arguments)
        require_relative "../top"
        Top.start(arguments)
      end

      # @return [Integer] exit status
      def explain(codes)
        require_relative "explain"
        Explain.new.run(codes)
      end

      # @return [Integer] exit status
      def init(arguments)
        require_relative "init"
        Init.new.run(arguments)
      end
    end
  end
end
