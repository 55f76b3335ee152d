# frozen_string_literal: true

class ProxyMachine
  # Which configuration counts, and which one the verbs of a config change: the same, or while a config is loaded again
  # another one, which may take its place.
  # @api private
  module Drafting
    # What counts.
    # @return [Configuration]
    def configuration
      @configuration ||= Configuration.new
    end

    # What the config's verbs change: what counts, but for the thread that reloads it another one, which may take its
    # place. What a trap or another thread changes meanwhile counts at once.
    # @return [Configuration]
    def draft
      Thread.current.equal?(@drafter) ? @draft : configuration
    end

    # Has the verbs change another configuration than the one that counts.
    # @return [Configuration] that one
    def drafting
      @drafter = Thread.current
      @draft = configuration.blank
      yield
      @draft
    ensure
      @drafter = @draft = nil
    end

    # Has another configuration take the place of the one that counts.
    # @param other [Configuration]
    # @raise [ConfigError, StartError] if that is not possible; then nothing has changed
    def replace(other)
      @server.reload(other) { @configuration = other }
    end

    # Says so in the log if a verb that is only read with the whole config was called later. It does not raise: a
    # config that loads itself again for its routes calls it, too.
    # @param verb [Symbol]
    def late(verb)
      return unless draft.equal?(configuration)

      @server&.warn("#{verb} is read when the server starts or reloads: now it changes nothing")
    end
  end
end
