# frozen_string_literal: true

require_relative "../lifecycle/working_directory"
require_relative "../safe_inspect"

class ProxyMachine
  class Config
    # Reads the options of the verbs +certificates+ and +authorities+. Errors name the verb, the option, and what it
    # takes.
    # @api private
    class TlsOptions
      # The versions of TLS that may be the lowest.
      VERSIONS = %w[1.2 1.3].freeze
      # The names of exchanges that come before a handshake: what to send, and what must come. The PostgreSQL manual has
      # the first, an SSLRequest, in "Message Formats".
      EXCHANGES = { postgres: [["\x00\x00\x00\x08\x04\xD2\x16\x2F".b, "S"]] }.freeze
      # What makes a path a glob.
      GLOB = /[*?\[{]/
      private_constant :VERSIONS, :EXCHANGES, :GLOB

      # @param verb [Symbol] the verb, for messages
      # @param options [Hash] the options as given
      # @param known [Array<Symbol>] the options that the verb takes
      # @raise [ConfigError] naming an option that the verb does not take
      def initialize(verb, options, known)
        @verb = verb
        @options = options
        unknown = options.keys - known
        return if unknown.empty?

        raise ConfigError, "#{verb}: no such option: #{SafeInspect.inspect(unknown.first)}; the options are " \
                           "#{known.map(&:inspect).join(", ")}"
      end

      # @return [Object] an option as given; nil if it is not
      def [](name)
        @options[name]
      end

      # @return [Boolean] whether an option is given
      def key?(name)
        @options.key?(name)
      end

      # @return [Boolean] an option that is true or false
      def flag(name, default)
        value = @options.fetch(name, default)
        return value if [true, false].include?(value)

        refuse_value(name, "true or false")
      end

      # @return [Array<String>] the protocols of +:alpn+ (RFC 7301: 1 to 255 bytes each)
      def alpn
        value = @options[:alpn]
        return [] if value.nil?

        is_valid = value.is_a?(Array) && value.any? && value.all? { |protocol| protocol?(protocol) }
        is_valid ? value : refuse_value(:alpn, 'protocols such as ["h2", "http/1.1"]')
      end

      # @return [String] the lowest version of TLS
      def min_version
        value = @options.fetch(:min_version, VERSIONS.first)
        VERSIONS.include?(value) ? value : refuse_value(:min_version, VERSIONS.map(&:inspect).join(" or "))
      end

      # @return [Authorities, nil] those who sign the certificates of clients
      def client
        value = @options[:client]
        return if value.nil?

        refuse_value(:client, 'authorities, such as authorities("/etc/proxymachine/clients.pem")') \
          unless value.is_a?(Authorities)
        return value if value.verifies?

        raise ConfigError, "#{@verb}: :client takes authorities that verify, not such with :verify => false"
      end

      # @return [Array] what is exchanged in clear before the handshake: [[send, expect]]
      def starttls
        value = @options[:starttls]
        return [] if value.nil?
        return EXCHANGES.fetch(value) if EXCHANGES.key?(value)

        is_valid = value.is_a?(Array) && value.any? && value.all? { |exchange| exchange?(exchange) }
        return value if is_valid

        refuse_value(:starttls, ':postgres, or what to send and what must come, such as [[nil, "220 "], ' \
                                '["STARTTLS\r\n", "220 "]]')
      end

      # @return [String, nil] the absolute path of an option
      def file(name)
        value = @options[name]
        value.nil? ? nil : path(value)
      end

      # Returns the files that some paths name. The files of a glob come in the order of their names.
      # @param paths [Array<String, Pathname>]
      # @return [Array] [[path, whether a glob found it]]
      def files(paths)
        paths.flat_map do |given|
          path = path(given)
          next [[path, false]] if !path.match?(GLOB) || File.exist?(path)

          found = Dir.glob(path).reject { |file| File.directory?(file) }.sort
          raise ConfigError, "#{@verb}: no file matches #{path}: name a file, or put one there" if found.empty?

          found.map { |file| [path(file), true] }
        end
      end

      private

      def refuse_value(name, expected)
        raise ConfigError, "#{@verb}: #{name.inspect} takes #{expected}, not #{SafeInspect.inspect(@options[name])}"
      end

      def path(value)
        text = value.respond_to?(:to_path) ? value.to_path : value
        expanded = text.is_a?(String) && !text.empty? ? Lifecycle::WorkingDirectory.expand(text) : ""
        return expanded if expanded.match?(/\A[^\0]+\z/)

        raise ConfigError, "#{@verb}: takes the path of a PEM file, in UTF-8, not #{SafeInspect.inspect(value)}"
      rescue ArgumentError, SystemCallError => e
        raise ConfigError, "#{@verb}: cannot find #{SafeInspect.inspect(value)}: #{SafeInspect.message(e)}"
      end

      def protocol?(value)
        value.is_a?(String) && value.bytesize.between?(1, 255) && SafeInspect.utf8(value).valid_encoding?
      end

      def exchange?(value)
        value.is_a?(Array) && value.size == 2 && (value[0].nil? || value[0].is_a?(String)) &&
          value[1].is_a?(String) && !value[1].empty?
      end
    end
  end
end
