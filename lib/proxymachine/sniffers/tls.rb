# frozen_string_literal: true

class ProxyMachine
  # TLS: what a client asks for before anything is encrypted.
  module TLS
    # What a client offers.
    #
    # @!attribute [r] sni
    #   @return [String, nil] the host that the client wants to talk to, as it wrote it; nil if it named none, or
    #     something that is no name of a host. Its case means nothing: use +sni&.downcase+ where clients differ.
    # @!attribute [r] alpn
    #   @return [Array<String>] the protocols that it offers, such as "h2" and "http/1.1", the best one first
    # @!attribute [r] versions
    #   @return [Array<String>] the versions that it offers: "TLS 1.3" down to "SSL 3.0", others as "0x7f1c"
    ClientHello = Struct.new(:sni, :alpn, :versions) { include Frozen }

    # The ClientHello that +data+ begins with, in one record or several.
    #
    #   ProxyMachine::TLS.client_hello("\x16\x03\x01") # => :incomplete
    #
    # @param data [String] all bytes received so far
    # @return [ClientHello, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.client_hello(data)
      Sniffers.tls(data, ClientHello)
    end
  end
end
