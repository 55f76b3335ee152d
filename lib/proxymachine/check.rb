# frozen_string_literal: true

require "socket"

class ProxyMachine
  # Whether a configuration that was loaded could be served: what `proxymachine -t` adds to loading it.
  # @api private
  class Check
    # @param configuration [Configuration]
    def initialize(configuration)
      @configuration = configuration
    end

    # @raise [ConfigError, StartError] naming what is wrong
    def run
      addresses = @configuration.checked_listeners.map { |listener| listener[:address] }
      [*addresses, *@configuration.settings.to_h[:admin]].each do |address|
        try(address)
      rescue SystemCallError, SocketError, ArgumentError => e
        raise StartError, "cannot listen on #{address}: #{e.message}"
      end
    end

    private

    # What is in use is so by the server that shall reload this, it is hoped: it could not be found out without
    # disturbing it.
    def try(address)
      case address
      when /\Asystemd:/ then nil # It is systemd's to open.
      when /\Aunix:(@.+)/m then bind(Addrinfo.unix($1.sub("@", "\0")))
      when /\Aunix:(.+)/m then try_file($1)
      else
        host, port = split(address)
        Addrinfo.foreach(host, port, nil, :STREAM, nil, Socket::AI_PASSIVE) { |found| bind(found) }
      end
    end

    def split(address)
      host, port = address.match(/\A\[?(.+?)\]?:(\d{1,5})\z/)&.captures
      raise ArgumentError, "expected host:port, unix:/path or unix:@name" unless host && port.to_i <= 65_535

      [host, port]
    end

    def bind(addrinfo)
      addrinfo.bind(&:itself)
    rescue Errno::EADDRINUSE
      nil
    rescue Errno::EADDRNOTAVAIL
      raise unless addrinfo.ipv6? # A name may have an IPv6 address on a machine without IPv6.
    end

    # Without touching a file that is there: somebody may listen on it.
    def try_file(path)
      raise ArgumentError, "expected an absolute path" unless path.start_with?("/")
      raise ArgumentError, "there is a file of that name which is no socket" if File.exist?(path) && !File.socket?(path)

      Addrinfo.unix(path) # It may be too long.
      directory = File.dirname(path)
      raise Errno::ENOENT, directory unless File.directory?(directory)
      raise Errno::EACCES, directory unless File.writable?(directory)
    end
  end
end
