# frozen_string_literal: true

require_relative "../errors"
require_relative "../safe_inspect"

class ProxyMachine
  module Log
    # Log lines about a block: its exceptions, its answers, and the errors in them.
    # @api private
    module Messages
      # The verbs for the methods of Server::Handler.
      VERBS = { route: "proxy", accepted: "proxy_accept", timed_out: "proxy_timeout",
                connect_error: "proxy_connect_error", inactivity_error: "proxy_inactivity_error" }.freeze

      VALID_ANSWERS = '{:remote => "host:port"}, {:close => true}, {:close => "last words"}, {:noop => true}, ' \
                      '"host:port", :close or :noop'
      # The names of the other blocks in Config::Blocks.
      CALLBACKS = { accepted: :accept, timed_out: :timeout, connect_error: :connect_error,
                    inactivity_error: :inactivity_error }.freeze
      private_constant :VERBS, :VALID_ANSWERS, :CALLBACKS

      # @param exception [Exception] raised by a block
      # @return [String]
      # @raise the exception, if it ends the server
      def raised(exception)
        raise exception if Fatal === exception # rubocop:disable Style/CaseEquality

        "#{SafeInspect.text("an exception") { exception.class }} - " \
          "#{SafeInspect.message(exception)}"
      end

      # @param method [Symbol] of Server::Handler
      # @param listener [String] the name or address of the client's listener
      # @return [String] where a block raised an exception
      def raised_at(client, method, listener, exception)
        place = place(method, listener, exception)
        "#{client} the #{VERBS.fetch(method)} block raised at #{place} (listener #{listener})"
      end

      # @return [String] a valid answer
      def answered(client, answer)
        "#{client} #{SafeInspect.inspect(answer)}"
      end

      # @return [String] why an answer is invalid
      def invalid_answer(client, answer)
        "#{client} invalid answer #{SafeInspect.inspect(answer)}: expected #{VALID_ANSWERS}"
      end

      # @return [String] why a remote is invalid
      def invalid_remote(client, remote, reason)
        "#{client} invalid remote #{SafeInspect.inspect(remote)}: #{reason}, expected \"host:port\""
      end

      # @return [String] which key of an answer has an invalid value
      def invalid_value(client, key, value, expected)
        "#{client} invalid :#{key} #{SafeInspect.inspect(value)}: expected #{expected}"
      end

      # @return [String] an answer that decides nothing
      def undecided(client, answer)
        "#{client} the answer #{SafeInspect.inspect(answer)} decides nothing: it has no :remote, :close or :noop " \
          "that is true. Closing."
      end

      # @return [String] the unknown keys of an answer
      def unknown_keys(client, keys)
        "#{client} no such key in an answer: #{keys.map { |key| SafeInspect.inspect(key) }.join(", ")}"
      end

      # @param method [Symbol] of Server::Handler
      # @return [String] a block that exceeded +slow_block+
      def slow(client, method, seconds)
        "#{client} the #{VERBS.fetch(method)} block took #{seconds.round(3)}s"
      end

      private

      # Returns "file:line": the innermost line of the file that has the block, else of any file.
      def place(method, listener, exception)
        SafeInspect.text("an unknown line") do
          trace = exception.backtrace.to_a
          file = source_file(method, listener)
          SafeInspect.place(trace.find { |entry| file && entry.b.start_with?("#{file}:".b) } || trace.first)
        end
      end

      # Returns the file that has the block; nil if the block was not written in Ruby.
      def source_file(method, listener)
        blocks = ProxyMachine.configuration.blocks
        block = method == :route ? blocks.router(listener.to_sym) : blocks[CALLBACKS.fetch(method)]
        block&.given.respond_to?(:source_location) ? block.given.source_location&.first : nil
      end
    end
  end
end
