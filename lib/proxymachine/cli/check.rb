# frozen_string_literal: true

require "socket"
require_relative "../config/address"
require_relative "file_check"

class ProxyMachine
  class CLI
    # Checks what loading a config cannot show: `proxymachine --check`. It tries each address and each file, leaves
    # nothing behind, and does not disturb a server that runs.
    # @api private
    class Check
      include FileCheck

      # @param config [Config]
      # @param pidfile [String, nil]
      # @param workers [Integer]
      def initialize(config, pidfile = nil, workers = 1)
        @workers = workers
        @config = config
        @settings = config.settings.to_h
        @pidfile = pidfile
        @bound = []
      end

      # @raise [ConfigError, StartError] naming the first error
      def run
        addresses = @config.checked_listeners.map { |listener| listener[:address] }
        [*addresses, *@settings[:admin]].each { |address| try("listen on", address) { listen(address) } }
        check_worker_sockets
        check_logs
        try("write the pidfile", @pidfile) { check_pidfile(@pidfile) } if @pidfile
      ensure
        @bound.each(&:close)
      end

      # @return [Array<String>] what the server would warn of, and serve without
      def warnings
        recordings = @settings[:record]
        try("record into", recordings) { check_recordings(recordings) } if recordings
        []
      rescue StartError => e
        [e.message]
      end

      private

      def check_logs
        { "access log" => @settings[:access_log], "TLS key log" => @settings[:tls_key_log] }.each do |log, file|
          try("write the #{log}", file) { check_writable(file) } if file && file != "-"
        end
        key_log = @settings[:tls_key_log]
        try("write the TLS key log", key_log) { check_regular(key_log) } if key_log
      end

      def try(action, object)
        yield
      rescue SystemCallError, SocketError, ArgumentError => e
        raise StartError, "cannot #{action} #{SafeInspect.utf8(object)}: #{SafeInspect.failure(e)}"
      end

      def listen(address)
        case address
        when /\Asystemd:/ then nil # systemd opens this one.
        when /\Aunix:@./m then bind(unix_address(Config::Address.unix(address)))
        when /\Aunix:(.+)/m then check_socket_file($1)
        else
          host, port = Config::Address.tcp(address)
          raise ArgumentError, "expected host:port, unix:/path or unix:@name" unless host

          bind_any(look_up(host).map { |found| Addrinfo.tcp(found.ip_address, port) })
        end
      end

      # Resolves as the engine does. Ruby's library takes "<any>" and "<broadcast>" for addresses, and with a port the
      # system's takes "*" for one.
      def look_up(host)
        raise SocketError, "Name or service not known" if host.start_with?("<")

        Addrinfo.getaddrinfo(host, nil, nil, :STREAM)
      end

      # Needs one address of a name only: the name may have an IPv6 address on a machine without IPv6.
      def bind_any(addresses)
        failures = addresses.filter_map do |address|
          bind(address)
          nil
        rescue Errno::EADDRNOTAVAIL, Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT => e
          e
        end
        raise failures.first if failures.size == addresses.size
      end

      # An address in use passes: most likely the running server uses it, and more cannot be found out without
      # disturbing that server. It fails if the address is free once this config's own sockets are closed.
      def bind(addrinfo)
        @bound << bound_socket(addrinfo)
      rescue Errno::EADDRINUSE
        @bound.each(&:close).clear
        raise ArgumentError, "another listener of this config has the same address" if free?(addrinfo)
      end

      def free?(addrinfo)
        bound_socket(addrinfo).close
        true
      rescue Errno::EADDRINUSE
        false
      end

      # Without SO_REUSEADDR, which would let two sockets that do not listen share an address.
      def bound_socket(addrinfo)
        socket = Socket.new(addrinfo.afamily, :STREAM)
        socket.ipv6only! if addrinfo.ipv6?
        socket.bind(addrinfo)
        socket
      rescue SystemCallError
        socket&.close
        raise
      end

      def unix_address(path)
        Config::Address.check_length(path)
        Addrinfo.unix(path)
      end

      # Does not touch an existing file: a server may be listening on it.
      def check_socket_file(path)
        raise ArgumentError, "expected an absolute path" unless path.start_with?("/")

        is_other = File.exist?(path) && !File.socket?(path)
        raise ArgumentError, "there is a file of that name which is no socket" if is_other

        unix_address(path)
        check_directory(File.dirname(path))
      end

      # Each worker has an admin socket in a directory that the main process makes.
      def check_worker_sockets
        return unless @settings[:admin] && @workers > 1

        require_relative "../cluster/admin_process"
        try("start the", "admin") { Dir.rmdir(Cluster::AdminProcess.make_directory) }
      end
    end
  end
end
