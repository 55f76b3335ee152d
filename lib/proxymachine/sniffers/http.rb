# frozen_string_literal: true

class ProxyMachine
  # HTTP: the head of a request, or the preface by which HTTP/2 begins.
  module HTTP
    # The head of a request.
    #
    # @!attribute [r] method
    #   @return [String, nil] "GET" and the like. Like all that an HTTP/2 preface does not tell, it is nil for that.
    # @!attribute [r] target
    #   @return [String, nil] what stands behind the method
    # @!attribute [r] path
    #   @return [String, nil] the target without host and query; nil for CONNECT
    # @!attribute [r] version
    #   @return [String] "1.0", "1.1" or "2"
    # @!attribute [r] host
    #   @return [String, nil] the name or address that the request is for, without port and brackets: that of the
    #     target if it names one, otherwise that of the +Host+ header. As the client wrote it; nil if it is not valid.
    # @!attribute [r] port
    #   @return [Integer, nil] its port, if one is given
    # @!attribute [r] authority
    #   @return [String, nil] both, as they are written
    # @!attribute [r] headers
    #   @return [Hash{String => String}] by lower-case name. The values of lines of the same name are joined by ", ".
    # @!attribute [r] size
    #   @return [Integer] bytes of the head; what follows is the body
    Request = Struct.new(:method, :target, :path, :version, :host, :port, :authority, :headers, :size) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # The value of a header, whatever the case of its name.
      # @param name [String, Symbol] such as "User-Agent"
      # @return [String, nil] nil without such a header
      def header(name)
        headers[name.to_s.downcase]
      end

      # Whether this is HTTP/2. Its requests are not read.
      # @return [Boolean]
      def http2?
        version == "2"
      end
    end

    # The request that +data+ begins with.
    #
    #   ProxyMachine::HTTP.request("GET /cats HTTP/1.1\r\nHost: blue.example\r\n\r\n").host # => "blue.example"
    #
    # @param data [String] all bytes received so far
    # @return [Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is no String
    def self.request(data)
      Sniffers.http(data, Request)
    end
  end
end
