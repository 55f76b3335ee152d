# frozen_string_literal: true

class ProxyMachine
  # TLS: the ClientHello, which a client sends before anything is encrypted.
  module TLS
    # The ClientHello of a client.
    #
    # @!attribute [r] sni
    #   @return [String, nil] the server name that the client asks for, in its normal form; nil if it sends none, or
    #     something that is not a host name
    # @!attribute [r] alpn
    #   @return [Array<String>] the protocols that the client offers, such as "h2" and "http/1.1", its favorite first
    # @!attribute [r] versions
    #   @return [Array<String>] the versions that the client offers: "TLS 1.3" down to "SSL 3.0", others as "0x7f1c"
    # @!attribute [r] raw_sni
    #   @return [String, nil] the server name as the client wrote it, valid or not; nil if the client sends none
    ClientHello = Struct.new(:sni, :alpn, :versions, :raw_sni) { include Frozen }

    # Parses the ClientHello at the start of +data+, in one record or several.
    #
    #   ProxyMachine::TLS.client_hello("\x16\x03\x01") # => :incomplete
    #
    # @param data [String] all bytes received so far
    # @return [ClientHello, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.client_hello(data)
      Sniffers.tls(data, ClientHello)
    end
  end
end
