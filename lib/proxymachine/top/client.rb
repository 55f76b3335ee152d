# frozen_string_literal: true

require "json"
require "socket"
require "timeout"
require_relative "../config/address"

class ProxyMachine
  class Top
    # Asks the admin of a running server for its status.
    # @api private
    class Client
      # Seconds that an answer may take.
      TIMEOUT = 5
      private_constant :TIMEOUT

      # No server answers at the address, or something else than ProxyMachine does.
      class Unavailable < StandardError; end

      # @param address [String] as the setting +admin+ takes it
      def initialize(address)
        @address = address
      end

      # @param width [Integer] of the longest line, in characters
      # @return [Array<String>] the lines of /status.txt
      # @raise [Unavailable]
      def fetch(width)
        head, body = ask("/status.txt?width=#{width}")
        check(head, body)
        body.lines(chomp: true)
      end

      # @return [Hash] the content of /status.json
      # @raise [Unavailable]
      def status
        _, body = ask("/status.json")
        JSON.parse(body.to_s)
      rescue JSON::ParserError
        raise Unavailable, "#{@address} is no ProxyMachine"
      end

      private

      # Returns head and body of the response.
      def ask(path)
        Timeout.timeout(TIMEOUT) { get(path) }.split("\r\n\r\n", 2)
      rescue Timeout::Error
        raise Unavailable, "#{@address} does not answer"
      rescue SystemCallError, SocketError, ArgumentError => e
        raise Unavailable, "#{@address}: #{SafeInspect.message(e)}"
      end

      # A server without /status.txt returns 404 and a list of its paths.
      def check(head, body)
        return if head&.match?(%r{\AHTTP/1\.1 200 .*^content-type: text/plain}mi) && !body.empty?
        raise Unavailable, "#{@address} is no ProxyMachine" unless body&.include?("/status.json")

        raise Unavailable, "#{@address} is an older ProxyMachine without /status.txt"
      end

      def get(path)
        socket = connect
        socket.write("GET #{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        socket.read.force_encoding(Encoding::UTF_8)
      ensure
        socket&.close
      end

      def connect
        path = Config::Address.unix(@address)
        Config::Address.check_length(path) if path
        path ? UNIXSocket.new(path) : Socket.tcp(*Config::Address.tcp(@address))
      end
    end
  end
end
