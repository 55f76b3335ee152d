# frozen_string_literal: true

module Bench
  # The kernel's memory for sockets and their buffers.
  module KernelMemory
    # Caches (slabinfo(5)) whose objects are nearly all those of sockets.
    SOCKET_CACHES = %w[TCP sock_inode_cache filp eventpoll_epi eventpoll_pwq tcp_bind_bucket tcp_bind2_bucket
                       lsm_file_cache].freeze
    # Caches with one object for each socket, in which files have many more.
    SHARED_CACHES = %w[dentry lsm_inode_cache].freeze
    CACHES = [*SOCKET_CACHES, *SHARED_CACHES].freeze
    PAGE = 4096

    module_function

    # Bytes; with those of all other objects for a user who may not read more.
    def bytes
      buffers + objects(sockstat[/used (\d+)/, 1].to_i)
    rescue Errno::EACCES
      buffers + (File.read("/proc/meminfo")[/^Slab:\s+(\d+) kB/, 1].to_i * 1024)
    end

    def objects(sockets)
      caches = slabs
      pages = caches.values_at(*SOCKET_CACHES).compact.sum { |row| row[5] * row[14] }
      (pages * PAGE) + (caches.values_at(*SHARED_CACHES).compact.sum { |row| row[3] } * sockets)
    end

    # Bytes of the buffers of TCP.
    def buffers = sockstat[/^TCP:.* mem (\d+)/, 1].to_i * PAGE

    # The columns of slabinfo(5) as numbers, by the name of the cache.
    def slabs
      File.readlines("/proc/slabinfo").drop(2).map(&:split).to_h { |row| [row[0], row.map(&:to_i)] }
    end

    def sockstat = File.read("/proc/net/sockstat")
  end
end
