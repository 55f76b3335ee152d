# frozen_string_literal: true

class ProxyMachine
  # SSH: the identification string of a client.
  module SSH
    # The identification string: "SSH-version-software comments".
    #
    # @!attribute [r] version
    #   @return [String] the version of the protocol: "2.0", or "1.99" for a client that speaks older versions, too
    # @!attribute [r] software
    #   @return [String] the client's software, such as "OpenSSH_9.2p1"
    # @!attribute [r] comments
    #   @return [String, nil] the text after the first space
    # @!attribute [r] size
    #   @return [Integer] the size of the line in bytes, its end included
    Banner = Struct.new(:version, :software, :comments, :size) { include Frozen } # rubocop:disable Lint/StructNewOverride

    # Parses the line at the start of +data+.
    #
    #   ProxyMachine::SSH.banner("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").software # => "OpenSSH_9.2p1"
    #
    # @param data [String] all bytes received so far
    # @return [Banner, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.banner(data)
      Sniffers.ssh(data, Banner)
    end
  end
end
