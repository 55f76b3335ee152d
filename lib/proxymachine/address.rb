# frozen_string_literal: true

class ProxyMachine
  # Addresses to listen on, as config and command line write them.
  # @api private
  module Address
    # @return [Array(String, Integer), nil] host without brackets, and port, of "host:port"
    def self.tcp(text)
      host, port = text.match(/\A\[?(.+?)\]?:(\d{1,5})\z/)&.captures
      [host, port.to_i] if host && port.to_i <= 65_535
    end

    # @return [String, nil] what UNIXSocket.new takes, of "unix:/path" or "unix:@name"
    def self.unix(text)
      text[/\Aunix:(.+)/m, 1]&.sub(/\A@/, "\0")
    end
  end
end
