# frozen_string_literal: true

class ProxyMachine
  # SSH: the line by which a client identifies itself.
  module SSH
    # What a client says that it is.
    #
    # @!attribute [r] version
    #   @return [String] the protocol's: "2.0", or "1.99" for "2.0, or older"
    # @!attribute [r] software
    #   @return [String] the client's program, such as "OpenSSH_9.2p1"
    # @!attribute [r] comments
    #   @return [String, nil] what it says besides
    # @!attribute [r] size
    #   @return [Integer] bytes of the line, with its end
    Banner = Struct.new(:version, :software, :comments, :size) { include Frozen } # rubocop:disable Lint/StructNewOverride

    # The line that +data+ begins with.
    #
    #   ProxyMachine::SSH.banner("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").software # => "OpenSSH_9.2p1"
    #
    # @param data [String] all bytes received so far
    # @return [Banner, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.banner(data)
      Sniffers.ssh(data, Banner)
    end
  end
end
