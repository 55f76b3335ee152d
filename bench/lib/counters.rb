# frozen_string_literal: true

require "open3"

module Bench
  # The tools that count system calls or instructions.
  module Counters
    module_function

    def all
      { "perf" => Perf.new, "strace" => Strace.new, "callgrind" => Callgrind.new }
    end

    def find(name)
      tool = name ? all.fetch(name) : all.values.find(&:workloads?)
      raise Error, "neither perf nor strace workloads here" unless tool
      raise Error, "#{name} does not work here" unless tool.workloads?

      tool
    end

    # A tool that attaches to a process and reports when it is interrupted.
    class Attached
      def prefix(_directory)
        []
      end

      def count(pid, directory)
        file = File.join(directory, "counts")
        child = Child.new(command(pid, file), log: File.join(directory, "tool.log"))
        sleep 0.7
        yield
        child.stop("INT")
        parse(File.read(file))
      ensure
        child&.stop
      end

      def runs?(*command)
        system(*command, out: File::NULL, err: File::NULL) == true
      end
    end

    # Tracepoints hardly slow the process down, so that the size of its batches stays realistic.
    class Perf < Attached
      # To attach to all system calls would take a quarter of a minute.
      CALLS = %w[
        accept accept4 bind brk clock_gettime clock_nanosleep close connect dup epoll_ctl epoll_pwait
        epoll_wait eventfd2 fcntl futex getpeername getpid getrandom getsockname getsockopt gettid ioctl kill
        listen madvise mmap mprotect munmap nanosleep pipe2 poll ppoll prctl pselect6 read readv recvfrom
        recvmsg rt_sigprocmask sched_yield select sendmsg sendto setsockopt shutdown socket splice
        timerfd_settime tgkill write writev
      ].freeze

      FOLDER = "/sys/kernel/tracing/events/syscalls/sys_enter_%s"

      def workloads?
        runs?("perf", "stat", "-e", "syscalls:sys_enter_close", "true")
      end

      # Attaching takes time. perf reports on a pipe when it is ready, and counts from then on.
      def count(pid, directory)
        pipes = %w[control answer].map { |name| File.join(directory, name) }
        pipes.each { |path| File.mkfifo(path) }
        file = File.join(directory, "counts")
        child = Child.new(command(pid, file, pipes), log: File.join(directory, "tool.log"))
        control, answer = pipes.map { |path| File.open(path, "r+") }
        tell(control, answer, "enable")
        yield
        tell(control, answer, "disable")
        child.stop("INT")
        parse(File.read(file))
      ensure
        child&.stop
        [control, answer].compact.each(&:close)
      end

      private

      def command(pid, file, pipes)
        names = CALLS.select { |name| Dir.exist?(format(FOLDER, name)) }
        events = names.map { |name| "syscalls:sys_enter_#{name}" }.join(",")
        ["perf", "stat", "-D", "-1", "--control", "fifo:#{pipes.join(",")}", "-x", ",", "-o", file, "-e", events,
         "-p", pid.to_s]
      end

      def tell(control, answer, word)
        control.write("#{word}\n")
        control.flush
        Timeout.timeout(30) { answer.gets }
      rescue Timeout::Error
        raise Error, "perf does not answer"
      end

      def parse(text)
        text.scan(/^(\d+),[^,]*,syscalls:sys_enter_(\w+)/).to_h { |count, name| [name, count.to_i] }
      end
    end

    # strace stops the process twice at each call, so that each epoll_wait finds more events than usual.
    class Strace < Attached
      def workloads?
        runs?("strace", "-c", "-o", File::NULL, "true")
      end

      private

      def command(pid, file)
        ["strace", "-c", "-f", "-o", file, "-p", pid.to_s]
      end

      def parse(text)
        rows = text.lines.map(&:split).select { |row| row.size >= 5 && row.first.match?(/\A[\d.]+\z/) }
        rows.reject { |row| row.last == "total" }.to_h { |row| [row.last, row[3].to_i] }
      end
    end

    # Counts instructions in user space on a simulated processor: exact, and about fifty times slower.
    class Callgrind < Attached
      def workloads?
        runs?("valgrind", "--version")
      end

      def prefix(directory)
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=#{directory}/callgrind.%p"]
      end

      def count(pid, directory)
        control("-i", "on", pid)
        yield
        control("-d", "", pid)
        totals = Dir["#{directory}/callgrind.*"].sum { |file| File.read(file)[/^totals: (\d+)/, 1].to_i }
        { "instructions in user space" => totals }
      end

      private

      def control(option, value, pid)
        out, status = Open3.capture2e("callgrind_control", *[option, value].reject(&:empty?), pid.to_s)
        raise Error, out unless status.success?
      end
    end
  end
end
