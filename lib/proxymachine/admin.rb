# frozen_string_literal: true

class ProxyMachine
  # The address of the setting +admin+, where a server shows itself while it runs.
  # @api private
  class Admin
    # Tells its sockets from those that clients connect to, for another process that inherits both.
    PREFIX = "admin:"
    private_constant :PREFIX

    # @param inherited [Array] what another process has bound: [[descriptor, address]]
    # @param wanted [String, nil] the setting +admin+; without one there is nothing to be taken over
    # @return [Array] two of them: what is an admin's, and what is not
    def self.split(inherited, wanted)
      admin, rest = inherited.partition { |_, address| address.start_with?(PREFIX) }
      admin.map! { |fd, address| [fd, address.delete_prefix(PREFIX)] }
      wanted ? [admin, rest] : [[], rest + admin]
    end

    # @param engine [Engine]
    # @param address [String, nil] none if that is nil
    # @param inherited [Array] see Admin.split
    def initialize(engine, address, inherited)
      @engine = engine
      @address = address
      @inherited = inherited
    end

    # @param name [String] what is shown as the server's name
    # @param privileges [Privileges] whom the file of a Unix socket will belong to
    # @return [String, nil] where it is
    # @raise [StartError] if the address cannot be listened on
    def bind(name, privileges)
      return unless @address

      about = { name: name, version: VERSION, ruby: RUBY_VERSION, **privileges.ids }
      port = @engine.bind_admin(@address, about, @inherited)
      port ? "http://#{@address.sub(/\d*\z/, port.to_s)}/" : @address
    end

    # @param settings [Hash] what counts from now on
    def show(settings)
      texts = settings.to_h { |name, value| [name.to_s, value.nil? ? "none" : value.to_s.delete_suffix(".0")] }
      @engine.show_settings(texts, settings[:max_connections])
    end

    # @return [Array] [[descriptor, address, port]]
    def sockets
      @engine.admin_sockets.map { |fd, address, port| [fd, "#{PREFIX}#{address}", port] }
    end
  end
end
