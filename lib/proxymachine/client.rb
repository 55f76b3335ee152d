# frozen_string_literal: true

class ProxyMachine
  # Who is asking: the second argument of a +proxy+ block.
  #
  #   proxy { |data, client| client.ip.start_with?("10.") ? "10.0.0.1:80" : :close }
  class Client
    # The client's address, as a load balancer told it or as its socket has it; nil for a Unix socket.
    # @return [String, nil]
    attr_reader :ip
    # Its port; nil for a Unix socket.
    # @return [Integer, nil]
    attr_reader :port

    # The address that it connected to; nil for a Unix socket.
    # @return [String, nil]
    attr_reader :local_ip
    # The port that it connected to; nil for a Unix socket.
    # @return [Integer, nil]
    attr_reader :local_port

    # The listener's name, or its address if it has none.
    # @return [Symbol, String]
    attr_reader :listener

    # What else a PROXY header of version 2 told, by type (a number): values are binary Strings.
    # @return [Hash{Integer => String}]
    attr_reader :tlvs

    # Seconds from its accept to this call.
    # @return [Float]
    attr_reader :age

    # @param about [Array] what the engine tells
    # @api private
    def initialize(name, about)
      @ip, @port, @local_ip, @local_port, address, tlvs, @age = about
      @listener = name || address
      @tlvs = tlvs.to_h
    end

    # @return [String] "ip:port", or the listener for a Unix socket
    def to_s
      ip ? "#{ip}:#{port}" : listener.to_s
    end
  end
end
