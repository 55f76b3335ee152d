# frozen_string_literal: true

require "json"
require "socket"
require "timeout"
require_relative "address"

class ProxyMachine
  # What a running server tells of itself, asked at its admin address.
  # @api private
  class Status
    # Seconds that an answer may take.
    PATIENCE = 5
    private_constant :PATIENCE

    # Nobody answers there, or not what was expected.
    class Unavailable < StandardError; end

    # @param address [String] as the setting +admin+ takes it
    def initialize(address)
      @address = address
    end

    # @return [Hash] what /status.json says
    # @raise [Unavailable]
    def fetch
      head, body = Timeout.timeout(PATIENCE) { ask }.split("\r\n\r\n", 2)
      raise Unavailable, "#{@address} is no ProxyMachine" unless body && head.start_with?("HTTP/1.1 200 ")

      JSON.parse(body)
    rescue Timeout::Error
      raise Unavailable, "#{@address} does not answer"
    rescue JSON::ParserError
      raise Unavailable, "#{@address} is no ProxyMachine"
    rescue SystemCallError, SocketError => e
      raise Unavailable, "#{@address}: #{e.message}"
    end

    private

    def ask
      socket = connect
      socket.write("GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      socket.read.force_encoding(Encoding::UTF_8)
    ensure
      socket&.close
    end

    def connect
      path = Address.unix(@address)
      path ? UNIXSocket.new(path) : Socket.tcp(*Address.tcp(@address))
    end
  end
end
