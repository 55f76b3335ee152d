# frozen_string_literal: true

class ProxyMachine
  # The lines of the log about what a block did: what it raised, what it answered, and why that is no answer.
  # @api private
  module Lines
    # The config's names of what the engine calls.
    BLOCKS = { route: "proxy", accepted: "proxy_accept", timed_out: "proxy_timeout",
               connect_error: "proxy_connect_error", inactivity_error: "proxy_inactivity_error" }.freeze
    private_constant :BLOCKS

    VALID = '{:remote => "host:port"}, {:close => true}, {:close => "last words"}, {:noop => true}, ' \
            '"host:port", :close or :noop'
    private_constant :VALID

    # @return [String] the line that logs what a block or callback raised
    # @raise what is meant for the whole server
    def raised(exception)
      raise exception if Handler.ending?(exception)

      "#{Text.of("an exception") { exception.class }} - " \
        "#{Text.of("(no message)") { exception.message.to_s.lines.first.to_s.chomp }}"
    end

    # @return [String] the line that logs an answer
    def answered(client, answer)
      "#{client} #{Text.inspect(answer)}"
    end

    # @return [String] the line that says why an answer is none
    def invalid_answer(client, answer)
      "#{client} invalid answer #{Text.inspect(answer)}: expected #{VALID}"
    end

    # @return [String] the line that says why a remote is none
    def invalid_remote(client, remote, reason)
      "#{client} invalid remote #{Text.inspect(remote)}: #{reason}, expected \"host:port\""
    end

    # @return [String] the line that says which key of an answer has a value that is none
    def invalid_value(client, key, value, expected)
      "#{client} invalid :#{key} #{Text.inspect(value)}: expected #{expected}"
    end

    # @return [String] the line that names a key of an answer that means nothing
    def unknown_key(client, key)
      "#{client} no such key in an answer: #{Text.inspect(key)}"
    end

    # @return [String] the line that names a block that took long
    def slow(client, method, seconds)
      "#{client} the #{BLOCKS.fetch(method)} block took #{seconds.round(3)}s"
    end
  end
end
