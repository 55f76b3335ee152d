# frozen_string_literal: true

require_relative "../client/tls"

class ProxyMachine
  module Testing
    # What +client.tls+ is in a test. What the test does not say is as with a client of today.
    # @api private
    class TLS < ProxyMachine::Client::TLS
      # @return [Array<OpenSSL::X509::Certificate>] the certificates that the test gives
      attr_reader :chain

      # @param properties [Hash, true, nil]
      # @return [TLS, Object, nil] an object that is no Hash stays as it is
      # @raise [ArgumentError] if there is no such property
      def self.from(properties)
        case properties
        when nil, false then nil
        when true then new
        when Hash then new(**properties)
        else properties
        end
      end

      # @raise [ArgumentError] if there is no such property
      def initialize(sni: nil, alpn: nil, version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256",
                     key_exchange: "X25519MLKEM768", resumed: false, certificate: nil, chain: [*certificate])
        super([sni, alpn, version, cipher, key_exchange, resumed, []])
        @chain = chain
      end
    end
  end
end
