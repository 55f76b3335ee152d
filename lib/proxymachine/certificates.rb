# frozen_string_literal: true

require_relative "config/tls_options"

class ProxyMachine
  # Who we are towards TLS clients: certificates with their keys. The verb +certificates+ returns them, for +:tls+ in an
  # answer or of a listener. Immutable; any thread may use them.
  #
  #   CERTIFICATES = certificates "/etc/proxymachine/tls/*.pem"
  #   listen "0.0.0.0:443", :tls => CERTIFICATES
  class Certificates
    OPTIONS = %i[pem alpn min_version client client_optional strict].freeze
    private_constant :OPTIONS

    # Reads files, or parses the text of the option +:pem+.
    # @param paths [Array<String>] PEM files, globs allowed
    # @param options [Hash] see the verb +certificates+
    # @return [Certificates]
    # @raise [ConfigError] naming the file or the option, and the cure
    # @api private
    def self.load(paths, options)
      options = Config::TlsOptions.new(:certificates, options, OPTIONS)
      client = options.client
      optional = options.flag(:client_optional, false)
      raise ConfigError, "certificates: :client_optional needs :client => authorities(...)" if optional && !client

      rest = [options.alpn, options.min_version, client, optional, options.flag(:strict, false)]
      options.key?(:pem) ? from_text(paths, options, rest) : from_files(paths, options, rest)
    end

    def self.from_text(paths, options, rest)
      text = options[:pem]
      raise ConfigError, "certificates: takes paths or :pem, not both" if paths.any?
      raise ConfigError, "certificates: :pem takes the text of a chain and its key, not #{text.class}" \
        unless text.is_a?(String)

      certificates, is_new = parse(text, *rest)
      ProxyMachine.loaded_tls(certificates) if is_new
      certificates
    end

    def self.from_files(paths, options, rest)
      raise ConfigError, 'certificates: takes the path of a PEM file, such as "/etc/proxymachine/tls/*.pem", or :pem' \
        if paths.empty?

      read(options.files(paths), *rest).tap { |certificates| ProxyMachine.loaded_tls(certificates) }
    end
    private_class_method :from_text, :from_files, :read, :parse

    # @!method inspect
    #   @return [String] the names and the days that each certificate is still valid, but no key

    # @!method to_s
    #   @return [String] see #inspect

    # @!method infos
    #   @return [Array] what each certificate says: [[name, file, first second since 1970, last second]]
    #   @api private
  end
end
