# frozen_string_literal: true

module Bench
  class Crowd
    # What is measured of one peer: memory, the time to open, wake-ups while nothing moves, the latency of those that
    # talk; a reload, an upgrade and a drain with all connections there.
    class Measurement
      # Talkers send this long, and nothing moves for as long.
      SECONDS = 10
      # Proxies give up what a quiet connection does not need within this time.
      QUIET = 3
      KERNEL = "kernel, bytes each, all sockets"
      TALK = "1,000 messages per second, p50; p99 us"

      # @param proxy [Proxies::Ours, Proxies::HAProxies, nil]
      def initialize(name, proxy, generators, count)
        @name = name
        @proxy = proxy
        @generators = generators
        @count = count
        @tree = ProcessTree.new(proxy ? proxy.pids : [])
      end

      # @return [Hash{String => Object}] the rows of a table
      def rows
        kernel = KernelMemory.bytes
        empty = @tree.memory
        few = @generators.talk_few(SECONDS)
        progress "100 connections talked"
        rows = open_all(empty)
        progress "#{@count} connections are open"
        rows[KERNEL] = (KernelMemory.bytes - kernel) / @count
        rows.merge!(idle)
        many = @generators.talk(SECONDS)
        rows["#{TALK}: 100 connections"] = latency(few)
        rows["#{TALK}: one in a hundred of all"] = latency(many)
        rows["messages late; errors"] = "#{many[:late]}; #{many[:errors]}"
        @proxy ? rows.merge(changes) : rows
      end

      private

      def open_all(empty)
        cpu = @tree.cpu_us
        opened = @generators.open { sleep QUIET and @tree.memory }
        cpu = @tree.cpu_us - cpu
        sleep QUIET
        rows = { "seconds to open" => opened.seconds.round(1) }
        @proxy ? rows.merge("CPU us to open one" => (cpu / @count).round(1), **memory(empty, opened)) : rows
      end

      def memory(empty, opened)
        full = @tree.memory
        { "processes; descriptors of the emptiest, of the fullest" => shares,
          "user memory without connections, MB" => (empty / 1e6).round(1),
          "user memory, bytes each" => (full - empty) / @count,
          "user memory, bytes each, second half" => (full - opened.at_half) / (@count - opened.half) }
      end

      def shares
        shares = @proxy.workers.map { |pid| ProcessTree.descriptors(pid) }
        "#{shares.size}; #{shares.min}, #{shares.max}"
      end

      def idle
        return {} unless @proxy

        activity = @tree.activity(SECONDS)
        { "wake-ups per second while idle" => activity.wakeups.round(1),
          "CPU us per second while idle" => activity.cpu_us.round }
      end

      def latency(figures) = "#{figures[:p50_us]}; #{figures[:p99_us]}"

      # What an operator does while all connections are there.
      def changes
        rows = @proxy.changes.to_h { |name, change| ["seconds to #{name}", seconds(&change)] }
        progress "#{@proxy.changes.keys.join(" and ")} are done"
        rows["errors after that"] = @generators.talk(2)[:errors]
        rows["seconds from the end of all clients to the end of the old processes"] =
          seconds { @generators.close and @proxy.wait_for_old }
        progress "drained"
        @generators.open
        rows.merge("seconds from TERM to the end of all processes" => seconds { @proxy.terminate })
      end

      def progress(text)
        warn("#{Time.now.strftime("%T")} #{@name}: #{text}")
      end

      def seconds
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        yield
        (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(2)
      end
    end
  end
end
