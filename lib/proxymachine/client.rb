# frozen_string_literal: true

require_relative "client/tls"

class ProxyMachine
  # The client of a connection: the second argument of a +proxy+ block.
  #
  #   proxy { |data, client| client.ip.start_with?("10.") ? "10.0.0.1:80" : :close }
  class Client
    # The client's address, from a load balancer's PROXY header or from the socket; nil for a Unix socket.
    # @return [String, nil]
    attr_reader :ip
    # The client's port; nil for a Unix socket.
    # @return [Integer, nil]
    attr_reader :port

    # The address that the client connected to; nil for a Unix socket.
    # @return [String, nil]
    attr_reader :local_ip
    # The port that the client connected to; nil for a Unix socket.
    # @return [Integer, nil]
    attr_reader :local_port

    # The listener's name, or the listener's address if it has no name.
    # @return [Symbol, String]
    attr_reader :listener

    # The type-length-value fields of a PROXY header of version 2, by type; values are binary Strings. If a type is
    # repeated, the last value counts: see #all_tlvs.
    # @return [Hash{Integer => String}]
    attr_reader :tlvs
    # The type-length-value fields of a PROXY header of version 2, in the header's order: [[type, value]].
    # @return [Array<Array(Integer, String)>]
    attr_reader :all_tlvs

    # The client's TLS, if it has ended here: by +:tls+ of the listener or of an earlier answer. nil otherwise.
    #
    #   proxy { |data, client| client.tls ? "10.0.0.1:80" : { :tls => CERTIFICATES } }
    # @return [TLS, nil]
    def tls
      @tls ||= @about_tls && TLS.new(@about_tls)
    end

    # Seconds from accept to the call of the block.
    # @return [Float]
    attr_reader :age

    # How many connections from the client's source are open now, this one included; nil for a Unix socket. A source is
    # an IPv4 address or the /64 of an IPv6 address. The count is that of this process.
    # @return [Integer, nil]
    attr_reader :connections

    # @param name [Symbol, nil] the listener's
    # @param about [Array] the engine's description of the client
    # @api private
    def initialize(name, about)
      @ip, @port, @local_ip, @local_port, address, tlvs, @age, @connections, @about_tls = about
      @listener = name || address
      @tlvs = tlvs.to_h
      @all_tlvs = tlvs.to_a
    end

    # @return [String] "ip:port"; the listener for a Unix socket
    def to_s
      ip ? "#{ip}:#{port}" : listener.to_s
    end
  end
end
