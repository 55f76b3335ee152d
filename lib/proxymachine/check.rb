# frozen_string_literal: true

require "socket"
require_relative "address"

class ProxyMachine
  # Whether a configuration that was loaded could be served: what `proxymachine -t` adds to loading it. It leaves
  # nothing behind, and disturbs nobody who serves it now.
  # @api private
  class Check
    # @param configuration [Configuration]
    # @param pidfile [String, nil]
    def initialize(configuration, pidfile = nil)
      @configuration = configuration
      @settings = configuration.settings.to_h
      @pidfile = pidfile
      @bound = []
    end

    # @raise [ConfigError, StartError] naming what is wrong
    def run
      addresses = @configuration.checked_listeners.map { |listener| listener[:address] }
      [*addresses, *@settings[:admin]].each { |address| attempt("listen on", address) { listen(address) } }
      log = @settings[:access_log]
      attempt("write the access log", log) { write(log) } if log && log != "-"
      attempt("write the pidfile", @pidfile) { write(@pidfile) } if @pidfile
    ensure
      @bound.each(&:close)
    end

    private

    def attempt(what, where)
      yield
    rescue SystemCallError, SocketError, ArgumentError => e
      raise StartError, "cannot #{what} #{where}: #{e.message}"
    end

    def listen(address)
      case address
      when /\Asystemd:/ then nil # It is systemd's to open.
      when /\Aunix:@./m then bind(Addrinfo.unix(Address.unix(address)))
      when /\Aunix:(.+)/m then socket_file($1)
      else
        host, port = Address.tcp(address)
        raise ArgumentError, "expected host:port, unix:/path or unix:@name" unless host

        bind_one_of(Addrinfo.getaddrinfo(host, port, nil, :STREAM, nil, Socket::AI_PASSIVE))
      end
    end

    # A name may have an IPv6 address on a machine without IPv6. One address suffices.
    def bind_one_of(addresses)
      missing = addresses.filter_map do |address|
        bind(address)
      rescue Errno::EADDRNOTAVAIL => e
        e
      end
      raise missing.first if missing.size == addresses.size
    end

    # What is in use is so by the server that shall reload this, it is hoped: it could not be found out without
    # disturbing it. Unless it is so by another listener of this configuration.
    def bind(addrinfo)
      @bound << take(addrinfo)
      nil
    rescue Errno::EADDRINUSE
      @bound.each(&:close).clear
      free?(addrinfo) and raise ArgumentError, "another listener of this config listens there, too"
    end

    def free?(addrinfo)
      take(addrinfo).close
      true
    rescue Errno::EADDRINUSE
      false
    end

    # Without SO_REUSEADDR, or two that do not listen could have the same address.
    def take(addrinfo)
      socket = Socket.new(addrinfo.afamily, :STREAM)
      socket.ipv6only! if addrinfo.ipv6?
      socket.bind(addrinfo)
      socket
    rescue SystemCallError
      socket&.close
      raise
    end

    # Without touching a file that is there: somebody may listen on it.
    def socket_file(path)
      raise ArgumentError, "expected an absolute path" unless path.start_with?("/")
      raise ArgumentError, "there is a file of that name which is no socket" if File.exist?(path) && !File.socket?(path)

      Addrinfo.unix(path) # It may be too long.
      writable(File.dirname(path))
    end

    # Without making it: it would belong to whoever checks.
    def write(path)
      raise Errno::EISDIR if File.directory?(path)

      writable(File.exist?(path) ? path : File.dirname(File.expand_path(path)))
    end

    def writable(path)
      raise Errno::ENOENT, path unless File.exist?(path)
      raise Errno::EACCES, path unless File.writable?(path)
    end
  end
end
