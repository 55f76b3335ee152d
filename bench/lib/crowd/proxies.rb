# frozen_string_literal: true

module Bench
  class Crowd
    # The proxies as several processes that serve one port, and what an operator can do with them.
    module Proxies
      # Limit of one change.
      LIMIT = 120

      module_function

      # @return [Ours, HAProxies, nil] nil without a proxy
      def start(name, setting, prefix, count)
        case name
        when "direct" then nil
        when "ours" then Ours.new(setting, prefix, count)
        when /\Ahaproxy/ then HAProxies.new(Peer.all.fetch(name), setting, prefix, count)
        else raise Error, "no crowd for #{name}"
        end
      end

      def wait_until(what)
        Timeout.timeout(LIMIT) { sleep 0.02 until yield }
      rescue Timeout::Error
        raise Error, "#{what}: not done after #{LIMIT} s"
      end

      # This tree with `--workers`.
      class Ours
        def initialize(setting, prefix, count)
          @log = File.join(setting.directory, "#{setting.port}.log")
          @main = Bench::Ours.new(["--workers", count.to_s]).start(setting, prefix)
          wait_for_line("Serving with")
        end

        def pids = [@main.pid]

        def workers = ProcessTree.children(@main.pid)

        def changes
          { "reload (HUP)" => -> { signal("HUP", "Reloaded") },
            "upgrade (USR2)" => -> { signal("USR2", "Upgraded: process") } }
        end

        def wait_for_old = Proxies.wait_until("drain") { @main.wait(0) }

        def terminate
          Process.kill("TERM", successor)
          Proxies.wait_until("TERM") { ProcessTree.ended?(successor) }
        end

        # The workers of a main process that was killed end by themselves.
        def stop
          @main.stop
          Process.kill("KILL", successor) if successor
        rescue Errno::ESRCH
          nil # It has ended.
        end

        private

        def successor = File.read(@log)[/Upgraded: process (\d+)/, 1]&.to_i

        def signal(name, line)
          Process.kill(name, @main.pid)
          wait_for_line(line)
        end

        def wait_for_line(text)
          Proxies.wait_until(text) { File.read(@log).include?(text) }
        end
      end

      # HAProxy, several processes with a listening socket each (SO_REUSEPORT). A reload and an upgrade are the same.
      class HAProxies
        def initialize(peer, setting, prefix, count)
          words, = peer.command(setting)
          @command = [*prefix, *words]
          @port = setting.port
          @old = []
          @new = Array.new(count) { Child.new(@command) }
          Proxies.wait_until("start") { listeners.size == count }
        end

        def pids = @new.map(&:pid)

        def workers = pids

        def changes = { "reload (HUP)" => method(:replace) }

        def wait_for_old = Proxies.wait_until("drain") { @old.all? { |child| child.wait(0) } }

        def terminate
          @new.each { |child| Process.kill("TERM", child.pid) }
          Proxies.wait_until("TERM") { @new.all? { |child| child.wait(0) } }
        end

        def stop = [*@old, *@new].each(&:stop)

        private

        # The last of the new processes tells the old ones to end, when all others listen.
        def replace
          before = listeners
          @old = @new
          @new = Array.new(@old.size - 1) { Child.new(@command) }
          Proxies.wait_until("new processes") { (listeners - before).size == @new.size }
          @new << Child.new([*@command, "-sf", *@old.map { |child| child.pid.to_s }])
          Proxies.wait_until("reload") { (listeners & before).empty? && listeners.size == @new.size }
        end

        # The inodes of the listening sockets, which come first in the table.
        def listeners
          rows = File.foreach("/proc/net/tcp").lazy.drop(1).map(&:split).take_while { |row| row[3] == Ports::LISTEN }
          rows.select { |row| row[1].end_with?(format(":%04X", @port)) }.map { |row| row[9] }.to_a
        end
      end
    end
  end
end
