# frozen_string_literal: true

class ProxyMachine
  class Server
    # The limit of file descriptors (RLIMIT_NOFILE), and the number of connections that fit into it.
    # @api private
    module DescriptorLimit
      # A connection has a socket to the client and one to the backend.
      PER_CONNECTION = 2
      # Reserved for the log, the config's own files and databases, name resolution, and the pipes of splice(2).
      RESERVE = 128
      # Reserved for the admin: 32 connections, its listeners, and its event loop.
      ADMIN_RESERVE = 40
      private_constant :PER_CONNECTION, :RESERVE, :ADMIN_RESERVE

      # Raises the soft limit of this process to its hard limit. The soft limit is low only for programs that use
      # select(2).
      def self.raise_to_maximum
        soft, hard = Process.getrlimit(:NOFILE)
        Process.setrlimit(:NOFILE, hard, hard) if soft < hard
      rescue SystemCallError, NotImplementedError
        nil # The soft limit stays, and there are fewer connections.
      end

      # @param admin [Object] truthy if there is an admin
      # @return [Integer] how many connections fit; at most half of the limit is reserved
      def self.connections(admin: false)
        limit = self.limit
        reserve = [open_descriptors + RESERVE + (admin ? ADMIN_RESERVE : 0), limit / 2].min
        [(limit - reserve) / PER_CONNECTION, 1].max
      end

      # @return [Integer] the soft limit; that of select(2) if the system does not tell
      def self.limit
        Process.getrlimit(:NOFILE).first
      rescue SystemCallError, NotImplementedError
        1024
      end

      def self.open_descriptors
        Dir.children("/proc/self/fd").size
      rescue SystemCallError
        0
      end
      private_class_method :open_descriptors
    end
  end
end
