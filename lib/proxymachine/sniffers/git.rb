# frozen_string_literal: true

class ProxyMachine
  # Git: the request of a +git://+ client.
  module Git
    # What a client asks for.
    #
    # @!attribute [r] command
    #   @return [String] "git-upload-pack" to fetch, "git-receive-pack" to push, or "git-upload-archive"
    # @!attribute [r] path
    #   @return [String] the repository, such as "/alice/project.git"; any bytes but NUL
    # @!attribute [r] host
    #   @return [String, nil] the host of the URL, without port and brackets; nil if the client does not say, or if it
    #     is not valid
    # @!attribute [r] port
    #   @return [Integer, nil] its port, if it has one
    # @!attribute [r] parameters
    #   @return [Hash{String => String}] what it says besides, such as "version" => "2"
    # @!attribute [r] size
    #   @return [Integer] the bytes that the request takes
    Request = Struct.new(:command, :path, :host, :port, :parameters, :size) { include Frozen } # rubocop:disable Lint/StructNewOverride

    # The request that +data+ begins with.
    #
    #   ProxyMachine::Git.request("003agit-upload-pack /alice/a.git\0host=blue.example\0\0version=2\0").path
    #   # => "/alice/a.git"
    #
    # @param data [String] all bytes received so far
    # @return [Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.request(data)
      Sniffers.git(data, Request)
    end
  end
end
