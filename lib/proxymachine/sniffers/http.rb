# frozen_string_literal: true

class ProxyMachine
  # HTTP: the head of a request, or the preface of HTTP/2.
  module HTTP
    # The head of a request.
    #
    # @!attribute [r] method
    #   @return [String, nil] the method, such as "GET"; nil for the HTTP/2 preface, as is all that it does not contain
    # @!attribute [r] target
    #   @return [String, nil] the request target
    # @!attribute [r] path
    #   @return [String, nil] the target without host and query; nil for CONNECT
    # @!attribute [r] version
    #   @return [String] "1.0", "1.1", a later "1.x", or "2"
    # @!attribute [r] host
    #   @return [String, nil] the host that the request is for, in its normal form, without port and brackets: that of
    #     the target if it has one, otherwise that of the +Host+ header. Nil if it is missing or invalid.
    # @!attribute [r] port
    #   @return [Integer, nil] the port, if the client sends one
    # @!attribute [r] authority
    #   @return [String, nil] host and port as the client wrote them
    # @!attribute [r] headers
    #   @return [Hash{String => String}] values by lower-case name. Values of the same name are joined by ", ".
    # @!attribute [r] size
    #   @return [Integer] the size of the head in bytes, empty lines before it included; the body follows
    Request = Struct.new(:method, :target, :path, :version, :host, :port, :authority, :headers, :size) do # rubocop:disable Lint/StructNewOverride
      include Frozen

      # Returns the value of a header. The case of its name does not matter.
      # @param name [String, Symbol] such as "User-Agent"
      # @return [String, nil] nil without such a header
      def header(name)
        headers[name.to_s.downcase]
      end

      # Tells whether this is the preface of HTTP/2. The sniffer does not parse the requests after it.
      # @return [Boolean]
      def http2?
        version == "2"
      end
    end

    # Parses the head of the request at the start of +data+.
    #
    #   ProxyMachine::HTTP.request("GET /cats HTTP/1.1\r\nHost: Blue.example.\r\n\r\n").host # => "blue.example"
    #
    # @param data [String] all bytes received so far
    # @return [Request, :incomplete, nil]
    # @raise [TypeError] if +data+ is not a String
    def self.request(data)
      Sniffers.http(data, Request)
    end
  end
end
