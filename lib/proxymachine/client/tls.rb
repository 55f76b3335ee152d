# frozen_string_literal: true

class ProxyMachine
  class Client
    # A client's TLS connection that has ended here: what the handshake has negotiated. See Client#tls.
    class TLS
      # The server name that the client asked for (SNI), in lower case; nil if it asked for none.
      # @return [String, nil]
      attr_reader :sni
      # The protocol that was agreed on by ALPN, such as "h2"; nil without one.
      # @return [String, nil]
      attr_reader :alpn
      # "TLSv1.3" or "TLSv1.2".
      # @return [String]
      attr_reader :version
      # The cipher suite by IANA's name, such as "TLS_AES_128_GCM_SHA256".
      # @return [String]
      attr_reader :cipher
      # The group of the key exchange by IANA's name, such as "X25519MLKEM768" or "x25519"; nil for a resumed connection
      # of TLS 1.2, which has none.
      # @return [String, nil]
      attr_reader :key_exchange

      # @param about [Array] the engine's description: the attributes, whether a session was resumed, and the client's
      #   certificates in DER
      # @api private
      def initialize(about)
        @sni, @alpn, @version, @cipher, @key_exchange, @is_resumed, @der = about
      end

      # @return [Boolean] whether the client resumed an earlier session
      def resumed?
        @is_resumed
      end

      # The client's certificate, which has been verified; nil if the client has shown none, or was asked for none.
      #
      #   proxy { |data, client| { :remote => REMOTES.fetch(client.tls.certificate.subject.to_s) } }
      # @return [OpenSSL::X509::Certificate, nil]
      def certificate
        chain.first
      end

      # @return [Array<OpenSSL::X509::Certificate>] the client's certificate, and those between it and its authority
      def chain
        @chain ||= begin
          require "openssl" unless @der.empty?
          @der.map { |der| OpenSSL::X509::Certificate.new(der) }
        end
      end

      # @return [String]
      def inspect
        names = { sni: sni, alpn: alpn }.compact.map { |name, value| "#{name}=#{value}" }
        "#<#{self.class} #{[version, cipher, *key_exchange, *names].join(" ")}>"
      end
    end
  end
end
