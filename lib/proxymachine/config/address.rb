# frozen_string_literal: true

require_relative "../safe_inspect"

class ProxyMachine
  class Config
    # Parses the addresses of listeners and of the admin.
    # @api private
    module Address
      # Returns an address in UTF-8, which the engine takes.
      # @param address [#to_s]
      # @return [String]
      # @raise [ConfigError] if the address is no text in UTF-8
      def self.text(address)
        text = SafeInspect.utf8(address.to_s)
        return text if text.valid_encoding?

        raise ConfigError, "an address is text in UTF-8, not #{SafeInspect.inspect(address.to_s)}"
      end

      # Bytes that the path or name of a Unix socket may have (unix(7)).
      MAX_UNIX = 107

      # @param path [String] what .unix has returned
      # @raise [ArgumentError] if no Unix socket can have it
      def self.check_length(path)
        raise ArgumentError, "its path is longer than #{MAX_UNIX} bytes" if path.bytesize > MAX_UNIX
      end

      # @param text [String] "host:port"
      # @return [Array(String, Integer), nil] host without brackets, and port
      def self.tcp(text)
        host, port = text.match(/\A\[?(.+?)\]?:(\d{1,5})\z/)&.captures
        [host, port.to_i] if host && port.to_i <= 65_535
      end

      # @param text [String] "unix:/path" or "unix:@name"
      # @return [String, nil] the path as UNIXSocket.new takes it; an abstract name starts with a NUL byte
      def self.unix(text)
        text[/\Aunix:(.+)/m, 1]&.sub(/\A@/, "\0")
      end
    end
  end
end
