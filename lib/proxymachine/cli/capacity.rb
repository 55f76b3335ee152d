# frozen_string_literal: true

require_relative "../server/descriptor_limit"

class ProxyMachine
  class CLI
    # Estimates the connections that a config can take on this machine, and names the limits: `proxymachine --check`.
    # The limits are those of the shell that checks. docs/scaling.md has the calculation.
    # @api private
    class Capacity
      # Bytes of an idle connection: the process's, undecided clients included, and the kernel's for two sockets.
      MEMORY = 2_000 + 7_600
      # The length of the accept queue that the server asks for.
      BACKLOG = 4096
      # Seconds that a local port stays in TIME-WAIT.
      TIME_WAIT = 60
      private_constant :MEMORY, :BACKLOG, :TIME_WAIT

      # @param settings [Hash] see Config::Settings#to_h
      # @param workers [Integer]
      # @param system [String] the root of /proc and /sys
      def initialize(settings, workers, system: "/")
        @settings = settings
        @workers = workers
        @system = system
      end

      # @return [Array<String>] lines
      def lines
        [clients, backends].compact
      end

      private

      def clients
        connections, limit = [[by_memory, "the machine's memory"], *per_worker].min_by(&:first)
        where = " in #{@workers} workers" if @workers > 1
        "capacity: #{number(connections)} connections at once#{where}, limited by #{limit}; idle they need about " \
          "#{number((connections * MEMORY / 1e6).ceil)} MB of memory, and #{number(queue)} more clients may wait"
      end

      # Memory is the limit of all workers together, the others are the limits of each.
      def per_worker
        Server::DescriptorLimit.raise_to_maximum
        descriptors = Server::DescriptorLimit.connections(admin: @settings[:admin])
        limit = "the #{number(Server::DescriptorLimit.limit)} descriptors of this shell (ulimit -Hn, LimitNOFILE=)"
        wanted = @settings[:max_connections]
        return [[descriptors * @workers, limit]] unless wanted

        limit = "#{limit}, although max_connections is #{number(wanted)}" if wanted > descriptors
        [[descriptors * @workers, limit], [wanted * @workers, "max_connections"]]
      end

      def by_memory
        bytes = [read("proc/meminfo")[/^MemTotal:\s+(\d+) kB/, 1]&.to_i&.*(1024),
                 Integer(read("sys/fs/cgroup/memory.max"), exception: false)].compact.min
        bytes ? bytes / MEMORY : Float::INFINITY
      end

      def queue
        [BACKLOG, Integer(read("proc/sys/net/core/somaxconn"), exception: false)].compact.min
      end

      def backends
        first, last = read("proc/sys/net/ipv4/ip_local_port_range").split.map(&:to_i)
        return unless last

        ports = last - first + 1
        "to one backend address: #{number(ports)} connections at once, limited by net.ipv4.ip_local_port_range; " \
          "#{number(ports / TIME_WAIT)} new ones a second if the proxy closes first (TIME-WAIT)"
      end

      def read(path)
        File.read(File.join(@system, path))
      rescue SystemCallError
        ""
      end

      def number(count)
        count.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
      end
    end
  end
end
