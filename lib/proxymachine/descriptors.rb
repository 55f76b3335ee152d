# frozen_string_literal: true

class ProxyMachine
  # File descriptors: how many there may be, and how many connections that makes.
  # @api private
  module Descriptors
    # A connection has two, one to the client and one to the backend.
    PER_CONNECTION = 2
    # For the log, the config's own files and databases, name resolution and the pipes of bulk transfers.
    RESERVE = 128
    # Of the admin: 32 connections, its listeners and its thread's own.
    ADMIN = 40
    private_constant :PER_CONNECTION, :RESERVE, :ADMIN

    # Raises the soft limit of this process to its hard limit, as servers do: the soft limit is kept low for
    # programs that use select(2).
    def self.raise_limit
      soft, hard = Process.getrlimit(:NOFILE)
      Process.setrlimit(:NOFILE, hard, hard) if soft < hard
    rescue SystemCallError, NotImplementedError
      nil # Then what there is must do.
    end

    # @param admin [Object] whether there is one
    # @return [Integer] how many connections there is room for; a small limit is shared half and half
    def self.connections(admin: false)
      limit = Process.getrlimit(:NOFILE).first
      reserve = [open + RESERVE + (admin ? ADMIN : 0), limit / 2].min
      [(limit - reserve) / PER_CONNECTION, 1].max
    end

    # Those that are open already.
    def self.open
      Dir.children("/proc/self/fd").size
    rescue SystemCallError
      0
    end
    private_class_method :open
  end
end
