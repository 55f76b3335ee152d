# frozen_string_literal: true

class ProxyMachine
  # Git: the request of a +git://+ client.
  module Git
    # The request of a client.
    #
    # @!attribute [r] command
    #   @return [String] "git-upload-pack" to fetch, "git-receive-pack" to push, or "git-upload-archive"
    # @!attribute [r] path
    #   @return [String] the repository, such as "/alice/project.git"; any bytes but NUL
    # @!attribute [r] host
    #   @return [String, nil] the host of the URL in its normal form, without port and brackets; nil if the client sends
    #     none, or an invalid one
    # @!attribute [r] port
    #   @return [Integer, nil] the port of the URL, if it has one
    # @!attribute [r] parameters
    #   @return [Hash{String => String}] the extra parameters, such as "version" => "2"
    # @!attribute [r] size
    #   @return [Integer] the size of the request in bytes
    # @!attribute [r] authority
    #   @return [String, nil] host and port as the client wrote them
    Request = Struct.new(:command, :path, :host, :port, :parameters, :size, :authority) { include Frozen } # rubocop:disable Lint/StructNewOverride

    # Parses the request at the start of +data+.
    #
    #   ProxyMachine::Git.request("003agit-upload-pack /alice/a.git\0host=blue.example\0\0version=2\0").path
    #   # => "/alice/a.git"
    #
    # @param data [String] all bytes received so far
    # @return [Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.request(data)
      Sniffers.git(data, Request)
    end
  end
end
