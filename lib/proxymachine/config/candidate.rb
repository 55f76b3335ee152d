# frozen_string_literal: true

class ProxyMachine
  class Config
    # Extends ProxyMachine with its running configuration and, during a reload, a candidate. The terms are NETCONF's:
    # the candidate is edited while the running configuration is in effect; a commit puts the candidate into effect.
    # @api private
    module Candidate
      # Returns the running configuration.
      # @return [Config]
      def configuration
        @configuration ||= Config.new
      end

      # Returns the configuration that the verbs edit: the candidate on the thread that reloads, the running one
      # otherwise. So a trap or another thread of a config changes routes at once, even during a reload.
      # @return [Config]
      def edited_config
        Thread.current.equal?(@reloader) ? @candidate : configuration
      end

      # Has the verbs edit a candidate while the block runs.
      # @return [Config] the candidate
      def edit_candidate
        @reloader = Thread.current
        @candidate = configuration.command_line_only
        yield
        @candidate
      ensure
        @reloader = @candidate = nil
      end

      # Puts a candidate into effect.
      # @param candidate [Config]
      # @raise [ConfigError, StartError] if that is not possible; then the running configuration stays
      def commit(candidate)
        @server.reload(candidate) { @configuration = candidate }
      end

      # Logs a warning if a verb that is only read at a start or a reload was called later. This is no error: a config
      # that loads itself again to change its routes calls such a verb, too.
      # @param verb [Symbol]
      # @return [Boolean] whether the verb was called too late
      def warn_if_ignored(verb)
        return false unless serving_config?

        @server.warn("#{verb} is read when the server starts or reloads: now it changes nothing")
        true
      end

      # Remembers certificates or authorities that a config has loaded. Those that a block loads later are not kept: the
      # block may do so for each connection.
      # @param identity [Certificates, Authorities]
      def loaded_tls(identity)
        return edited_config.tls_identities.add(identity) unless serving_config?

        Config::TlsWarnings.of(identity).each { |line| @server.warn(line) }
      end

      private

      # Whether the verbs edit a configuration that is in effect.
      def serving_config?
        edited_config.equal?(configuration) && @server&.serving?
      end
    end
  end
end
