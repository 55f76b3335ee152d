# frozen_string_literal: true

class ProxyMachine
  # What the engine calls on the thread that called +run+: the config's blocks, and the log. An
  # exception that leaves one of these methods ends the server, so only those do that must.
  class Handler
    # Raised in the thread that runs when the connections are gone and a block still has not
    # returned. No StandardError: a block's +rescue+ is not meant for it.
    class Halt < Exception; end # rubocop:disable Lint/InheritException

    # What ends the server when a block raises it. Anything else costs its own connection only.
    ENDING = [SystemExit, SignalException, Halt].freeze

    VALID = '{:remote => "host:port"}, {:close => true}, {:close => "last words"}, {:noop => true}, ' \
            '"host:port", :close or :noop'
    private_constant :ENDING, :VALID

    # Asks the config's block.
    def route(data)
      ProxyMachine.routing.call(data)
    end

    # Logs every answer.
    def answered(client, answer)
      info "#{client} #{AnswerText.of(answer)}"
    end

    def invalid_answer(client, answer)
      error "#{client} invalid answer #{AnswerText.of(answer)}: expected #{VALID}"
    end

    def invalid_remote(client, remote, reason)
      error "#{client} invalid remote #{AnswerText.of(remote)}: #{reason}, expected \"host:port\""
    end

    # Logs what a block raised, or raises it again if it is meant for the whole server.
    def raised(exception)
      case exception
      when *ENDING then raise exception
      else error "#{exception.class} - #{first_line(exception)}"
      end
    end

    def connect_error(remote)
      ProxyMachine.connect_error_callback&.call(remote)
    rescue Exception => e # rubocop:disable Lint/RescueException
      raised(e)
    end

    def inactivity_error(remote)
      ProxyMachine.inactivity_error_callback&.call(remote)
    rescue Exception => e # rubocop:disable Lint/RescueException
      raised(e)
    end

    # A logger only needs +info+, +warn+ and +error+; one that cannot tell its level wants all.
    def info?
      LOGGER.respond_to?(:info?) ? !!LOGGER.info? : true
    rescue StandardError
      true
    end

    def info(line)
      log(:info, line)
    end

    def warn(line)
      log(:warn, line)
    end

    def error(line)
      log(:error, line)
    end

    def title
      ProxyMachine.update_procline
    end

    private

    # Whatever LOGGER is now. A logger that fails (a full disk, a closed pipe) costs its line only.
    def log(severity, line)
      LOGGER.public_send(severity, line)
    rescue Exception => e # rubocop:disable Lint/RescueException
      raise if ENDING.any? { |ending| e.is_a?(ending) }
    end

    def first_line(exception)
      exception.message.to_s.lines.first.to_s.chomp
    rescue StandardError
      "(its message raised)"
    end
  end
end
