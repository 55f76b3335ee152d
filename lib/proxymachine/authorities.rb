# frozen_string_literal: true

require_relative "config/tls_options"

class ProxyMachine
  # Whom we trust: the authorities that sign the certificates of servers and clients. The verb +authorities+ returns
  # them, for +:remote_tls+ in an answer and for +:client+ of +certificates+. Immutable; any thread may use them.
  #
  #   INTERNAL = authorities "/etc/proxymachine/internal-ca.pem"
  #   proxy { { :remote => "10.0.0.1:5432", :remote_tls => INTERNAL.for("db.internal") } }
  class Authorities
    OPTIONS = %i[certificate alpn min_version crl starttls verify].freeze
    private_constant :OPTIONS

    # Reads files; without any, the authorities of the system.
    # @param paths [Array<String>] PEM files, globs allowed
    # @param options [Hash] see the verb +authorities+
    # @return [Authorities]
    # @raise [ConfigError] naming the file or the option, and the cure
    # @api private
    def self.load(paths, options)
      options = Config::TlsOptions.new(:authorities, options, OPTIONS)
      files = options.files(paths).map(&:first)
      lists = options[:crl].nil? ? [] : options.files([*options[:crl]]).map(&:first)
      authorities = read(files, options.file(:certificate), options.alpn, options.min_version, lists, options.starttls,
                         options.flag(:verify, true))
      authorities.tap { ProxyMachine.loaded_tls(authorities) }
    end
    private_class_method :read

    # Returns the same authorities for a server whose certificate must have another name than the remote's host.
    #
    #   INTERNAL.for("db.internal")
    #
    # @param name [String] a host name or an IP address
    # @return [Authorities]
    # @raise [ConfigError] if +name+ is neither
    def for(name)
      named = name.is_a?(String) ? with_name(SafeInspect.utf8(name).scrub) : nil
      named || raise(ConfigError, "authorities(...).for takes a host name such as \"db.internal\" or an IP address, " \
                                  "not #{SafeInspect.inspect(name)}")
    end

    # @!method inspect
    #   @return [String] the names of the certificates and the days that each is still valid, but no key

    # @!method to_s
    #   @return [String] see #inspect

    # @!method name
    #   @return [String, nil] the name that a server's certificate must have; nil for the remote's host
    # @!method verifies?
    #   @return [Boolean] whether certificates are verified
    #   @api private
    # @!method infos
    #   @return [Array] what each certificate says: [[name, file, first second since 1970, last second]]
    #   @api private
    # @!method revocation_lists
    #   @return [Array] when a newer list was to come: [[file, second since 1970]]
    #   @api private
  end
end
