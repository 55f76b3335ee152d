# frozen_string_literal: true

class ProxyMachine
  # The address of the setting +admin+, where a running server serves metrics and a status page.
  # @api private
  class Admin
    # Marks the admin's sockets among those that another process inherits.
    PREFIX = "admin:"
    private_constant :PREFIX

    # Separates the admin's inherited sockets from those of the listeners.
    # @param inherited [Array] [[descriptor, address]]
    # @param address [String, nil] the setting +admin+; with nil, no socket is the admin's
    # @return [Array(Array, Array)] the admin's, and the others
    def self.split(inherited, address)
      admin, others = inherited.partition { |_, name| name.start_with?(PREFIX) }
      admin.map! { |fd, name| [fd, name.delete_prefix(PREFIX)] }
      address ? [admin, others] : [[], others + admin]
    end

    # @param engine [Engine]
    # @param address [String, nil] the setting +admin+
    # @param inherited [Array] the admin's inherited sockets, see Admin.split
    def initialize(engine, address, inherited)
      @engine = engine
      @address = address
      @inherited = inherited
    end

    # @param name [String] the server's name, for the status page
    # @param privileges [Config::Privileges] the user to whom the file of a Unix socket belongs
    # @return [String, nil] the URL or the Unix socket; nil without an admin
    # @raise [StartError] if the address cannot be listened on
    def bind(name, privileges)
      return unless @address

      about = { name: name, version: VERSION, ruby: RUBY_VERSION, **privileges.ids }
      port = @engine.bind_admin(@address, about, @inherited)
      port ? "http://#{@address.sub(/\d*\z/, port.to_s)}/" : @address
    end

    # Shows the settings on the status page.
    # @param settings [Hash] see Config::Settings#to_h
    def show(settings)
      texts = settings.to_h { |name, value| [name.to_s, text(value)] }
      @engine.show_settings(texts, settings[:max_connections])
    end

    # Shows when certificates expire.
    # @param certificates [Array<Certificates>]
    def show_certificates(certificates)
      @engine.show_certificates(certificates)
    end

    # @return [Array] sockets for another process to inherit: [[descriptor, address, port]]
    def sockets
      @engine.admin_sockets.map { |fd, address, port| [fd, "#{PREFIX}#{address}", port] }
    end

    private

    def text(value)
      value = value.join(", ") if value.is_a?(Array)
      value.nil? || value == "" ? "none" : value.to_s.delete_suffix(".0")
    end
  end
end
