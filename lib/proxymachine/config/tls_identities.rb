# frozen_string_literal: true

require_relative "tls_warnings"

class ProxyMachine
  class Config
    # The certificates and authorities that a config has loaded: what there is to warn of, and to show.
    # @api private
    class TlsIdentities
      def initialize
        @all = []
      end

      # @param identity [Certificates, Authorities]
      def add(identity)
        @all << identity
      end

      # @return [Array<String>] lines about certificates that have expired or will soon
      def warnings
        @all.flat_map { |identity| TlsWarnings.of(identity) }.uniq
      end

      # @return [Array<String>] a line about authorities that do not verify, if there are some
      def lasting_warnings
        @all.grep(Authorities).all?(&:verifies?) ? [] : [TlsWarnings.line(:unverified)]
      end

      # @return [Array<Certificates>] the certificates that clients see
      def certificates
        @all.grep(Certificates)
      end
    end
  end
end
