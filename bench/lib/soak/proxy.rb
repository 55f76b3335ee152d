# frozen_string_literal: true

module Bench
  class Soak
    # The proxy under load, observed through /proc.
    class Proxy
      # Clock ticks per second.
      TICKS = Etc.sysconf(Etc::SC_CLK_TCK)

      # Pipe ends in the engine's pool: at most 32 pipes for each of at most 4 threads.
      POOL = 2 * 32 * 4

      # The state without connections.
      State = Struct.new(:current, :most, :total, :memory, :sockets, :pipes, :others) do
        # Returns descriptors that were not open before, except those of the engine's pipe pool.
        def left_open(before)
          { "sockets" => [sockets, before.sockets..before.sockets],
            "other descriptors" => [others, before.others..before.others],
            "ends of pipes" => [pipes, before.pipes..before.pipes + POOL] }
            .reject { |_, (count, wanted)| wanted.cover?(count) }
            .map { |name, (count, wanted)| "#{count} #{name} are open, not #{wanted}" }
        end
      end

      attr_reader :port, :log, :program

      def initialize(directory, load)
        @port = Ports.free
        @log = File.join(directory, "log")
        config = File.join(CONFIGS, "soak.rb")
        env = { "SOAK_BACKENDS" => load.backends.join(","), "SOAK_REFUSING" => load.refusing.to_s }
        @pidfile = File.join(directory, "pid")
        @program = InstalledProgram.new(directory)
        command = [*@program.command, "-c", config, "-h", "127.0.0.1", "-p", @port.to_s, "--pidfile", @pidfile]
        @child = Child.new(command, env: env, log: @log).ready(@port)
        @pid = @child.pid
      end

      # Waits until the title has no current connection and all predecessors have ended.
      def quiet(seconds: 30)
        deadline = now + seconds
        until (numbers = title) && numbers.first.zero? && predecessors.none? { |id| alive?(id) }
          raise Error, "connections are left after #{seconds} s: #{numbers&.join("/")}" if now > deadline

          sleep 0.1
        end
        sleep 1.1 # the title may be a second old
        State.new(*title, memory, *descriptors)
      end

      # Returns the processor time of the next `seconds`.
      def processor_time(seconds)
        before = ticks
        sleep seconds
        (ticks - before).fdiv(TICKS)
      end

      def signal(name)
        Process.kill(name, pid)
      end

      # Upgrades; the new process is then the one observed.
      def upgrade(seconds)
        predecessors << (before = pid)
        signal("USR2")
        deadline = now + seconds
        while (@pid = File.read(@pidfile).to_i) == before
          raise Error, "no new process has taken over after #{seconds} s: #{@child.output}" if now > deadline

          sleep 0.02
        end
      end

      # Returns the Process::Status of the old process, or nil if it does not end.
      def status_before_upgrade(seconds)
        @child.wait(seconds) && @child.status
      end

      # Waits for the end of the proxy, which is not a child of this process after an upgrade.
      def ended?(seconds)
        deadline = now + seconds
        sleep 0.1 while alive? && now < deadline
        !alive?
      end

      # The extension that the proxy has mapped.
      def binary
        read("maps")[%r{/\S+/proxymachine\.so}]
      end

      def stop
        @child.stop
        Process.kill("KILL", pid) if pid != @child.pid && alive?
      end

      private

      attr_reader :pid

      # The processes before the upgrades.
      def predecessors = @predecessors ||= []

      # A zombie counts as ended.
      def alive?(id = pid)
        !File.read("/proc/#{id}/stat").match?(/\) Z /)
      rescue SystemCallError
        false
      end

      # The numbers of current, maximum and total connections.
      def title
        read("cmdline")[%r{ (\d+/\d+/\d+) cur/max/tot conns}, 1]&.split("/")&.map(&:to_i)
      end

      # Resident memory in KiB.
      def memory
        read("status")[/^VmRSS:\s+(\d+)/, 1].to_i
      end

      def descriptors
        kinds = Dir.children("/proc/#{pid}/fd").map { |number| File.readlink("/proc/#{pid}/fd/#{number}")[/\A\w+/] }
        [kinds.count("socket"), kinds.count("pipe"), kinds.count { |kind| !%w[socket pipe].include?(kind) }]
      end

      def ticks
        read("stat")[/\) (.*)/, 1].split.values_at(11, 12).sum(&:to_i)
      end

      def read(name)
        File.binread("/proc/#{pid}/#{name}")
      rescue SystemCallError
        raise Error, "the proxy has ended: #{@child.output}"
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
