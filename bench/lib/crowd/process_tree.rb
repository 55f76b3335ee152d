# frozen_string_literal: true

module Bench
  class Crowd
    # The processes of a proxy with all their descendants, as /proc shows them.
    class ProcessTree
      Activity = Struct.new(:wakeups, :cpu_us)

      # The number of open descriptors (proc(5)). To list them would cost the kernel two objects for each.
      def self.descriptors(pid) = File.stat("/proc/#{pid}/fd").size

      def self.children(pid)
        File.read("/proc/#{pid}/task/#{pid}/children").split.map(&:to_i)
      rescue SystemCallError
        []
      end

      # Whether the process has ended, reaped or not.
      def self.ended?(pid)
        File.read("/proc/#{pid}/stat")[/\) (\w)/, 1] == "Z"
      rescue SystemCallError
        true
      end

      def initialize(pids)
        @pids = pids
      end

      def all
        all = @pids.dup
        all.each { |pid| all.concat(self.class.children(pid)) }
      end

      # The memory of all but that of files, in bytes, each shared page once.
      def memory
        all.sum { |pid| File.read("/proc/#{pid}/smaps_rollup")[/^Pss_Anon:\s+(\d+) kB/, 1].to_i } * 1024
      end

      # User and system time of all threads that live.
      def cpu_us
        files("schedstat").sum { |file| File.read(file).to_i } / 1000.0
      end

      # Wake-ups and CPU time per second: a voluntary context switch is a sleep that ends with a wake-up.
      def activity(seconds)
        before = [switches, cpu_us]
        sleep seconds
        Activity.new(*[switches, cpu_us].zip(before).map { |after, earlier| (after - earlier) / seconds.to_f })
      end

      private

      def switches
        files("status").sum { |file| File.read(file)[/^voluntary_ctxt_switches:\s+(\d+)/, 1].to_i }
      end

      def files(name) = all.flat_map { |pid| Dir["/proc/#{pid}/task/*/#{name}"] }
    end
  end
end
