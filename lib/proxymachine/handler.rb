# frozen_string_literal: true

class ProxyMachine
  # What the engine calls on the thread that called +run+: the config's blocks, and the log.
  class Handler
    # Raised in the thread that runs when the connections are gone and a block still has not
    # returned. No StandardError: a block's +rescue+ is not meant for it.
    class Halt < Exception; end # rubocop:disable Lint/InheritException

    # What ends the server when a block raises it. Anything else costs its own connection only.
    ENDING = [SystemExit, SignalException, Halt].freeze

    VALID = '{:remote => "host:port"}, {:close => true}, {:close => "last words"}, {:noop => true}, ' \
            '"host:port", :close or :noop'
    private_constant :VALID

    # Asks the config's block.
    def route(data)
      ProxyMachine.routing.call(data)
    end

    def connect_error(remote)
      ProxyMachine.connect_error_callback&.call(remote)
    end

    def inactivity_error(remote)
      ProxyMachine.inactivity_error_callback&.call(remote)
    end

    # @return [String] the line that logs what a block or callback raised
    # @raise what is meant for the whole server
    def raised(exception)
      case exception
      when *ENDING then raise exception
      else "#{exception.class} - #{first_line(exception)}"
      end
    end

    # @return [String] the line that logs an answer
    def answered(client, answer)
      "#{client} #{AnswerText.of(answer)}"
    end

    # @return [String] the line that says why an answer is none
    def invalid_answer(client, answer)
      "#{client} invalid answer #{AnswerText.of(answer)}: expected #{VALID}"
    end

    # @return [String] the line that says why a remote is none
    def invalid_remote(client, remote, reason)
      "#{client} invalid remote #{AnswerText.of(remote)}: #{reason}, expected \"host:port\""
    end

    # A logger only needs +info+, +warn+ and +error+; one that cannot tell its level wants all.
    def info?
      LOGGER.respond_to?(:info?) ? !!LOGGER.info? : true
    rescue StandardError
      true
    end

    # Whether LOGGER writes each line in Ruby's default format, so that the extension may do it.
    def plain_log?
      LOGGER.instance_of?(Logger) && LOGGER.info? && LOGGER.formatter.nil? && LOGGER.progname.nil? &&
        LOGGER.datetime_format.nil? && LOGGER.singleton_methods.empty?
    end

    # Writes lines that are formatted already.
    def write(lines)
      guard { LOGGER << lines }
    end

    # @return [String] a second since the epoch as Logger writes it
    def second(epoch)
      Time.at(epoch).strftime("%Y-%m-%dT%H:%M:%S")
    end

    def info(line)
      guard { LOGGER.info(line) }
    end

    def warn(line)
      guard { LOGGER.warn(line) }
    end

    def error(line)
      guard { LOGGER.error(line) }
    end

    def title
      ProxyMachine.update_procline
    end

    private

    # A logger that fails (a full disk, a closed pipe) costs its line only.
    def guard
      yield
    rescue *ENDING
      raise
    rescue Exception # rubocop:disable Lint/RescueException
      nil
    end

    def first_line(exception)
      exception.message.to_s.scrub.lines.first.to_s.chomp
    rescue *ENDING
      raise
    rescue Exception # rubocop:disable Lint/RescueException
      "(its message raised)"
    end
  end
end
