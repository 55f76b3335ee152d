# frozen_string_literal: true

module Bench
  class Soak
    # The proxy under load, seen from outside.
    class Proxy
      # Of the kernel's clock, in a second.
      TICKS = Etc.sysconf(Etc::SC_CLK_TCK)

      # Pipe ends that the engine's pool may keep: 32 pipes for each of at most 4 threads.
      POOL = 2 * 32 * 4

      # What is left when all is quiet.
      State = Struct.new(:current, :most, :total, :memory, :sockets, :pipes, :others) do
        # The descriptors that were not open in the state before, but for those of the engine's pool of pipes.
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

      # Waits until the title says that no connection is left, and nobody is left that has counts to tell.
      def quiet(seconds: 30)
        deadline = now + seconds
        until (numbers = title) && numbers.first.zero? && predecessors.none? { |id| alive?(id) }
          raise Trouble, "connections are left after #{seconds} s: #{numbers&.join("/")}" if now > deadline

          sleep 0.1
        end
        sleep 1.1 # The title may be a second old.
        State.new(*title, memory, *descriptors)
      end

      # Seconds of processor time in the next `seconds`.
      def processor_time(seconds)
        before = ticks
        sleep seconds
        (ticks - before).fdiv(TICKS)
      end

      def signal(name)
        Process.kill(name, pid)
      end

      # From now on it is the process that takes over.
      def upgrade(seconds)
        predecessors << (before = pid)
        signal("USR2")
        deadline = now + seconds
        while (@pid = File.read(@pidfile).to_i) == before
          raise Trouble, "no process has taken over after #{seconds} s: #{@child.output}" if now > deadline

          sleep 0.02
        end
      end

      # The Process::Status of the one before, or nil if that does not end.
      def status_before_upgrade(seconds)
        @child.wait(seconds) && @child.status
      end

      # Whether it ends. It is not a child of this process any more.
      def ended?(seconds)
        deadline = now + seconds
        sleep 0.1 while alive? && now < deadline
        !alive?
      end

      # The binary that it runs by.
      def binary
        read("maps")[%r{/\S+/proxymachine\.so}]
      end

      def stop
        @child.stop
        Process.kill("KILL", pid) if pid != @child.pid && alive?
      end

      private

      attr_reader :pid

      # The processes whose place was taken.
      def predecessors = @predecessors ||= []

      # A process that has ended and that nobody has waited for is none.
      def alive?(id = pid)
        !File.read("/proc/#{id}/stat").match?(/\) Z /)
      rescue SystemCallError
        false
      end

      # Current, max, total.
      def title
        read("cmdline")[%r{ (\d+/\d+/\d+) cur/max/tot conns}, 1]&.split("/")&.map(&:to_i)
      end

      # KiB.
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
        raise Trouble, "the proxy has ended: #{@child.output}"
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
