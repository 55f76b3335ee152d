# frozen_string_literal: true

require "timeout"

module Bench
  # A child process.
  class Child
    # The status is nil while the process runs.
    attr_reader :pid, :status

    def initialize(command, env: {}, log: File::NULL, directory: ROOT)
      @log = log
      @pid = Process.spawn(env, *command, in: File::NULL, out: [log, "w"], err: %i[child out], chdir: directory)
    end

    # Waits until the process listens on `port`.
    def ready(port, seconds: 20)
      deadline = now + seconds
      until Ports.listening?(port)
        raise Error, "ended before it listened: #{output}" if ended?
        raise Error, "does not listen after #{seconds} s: #{output}" if now > deadline

        sleep 0.02
      end
      self
    end

    def output
      @log == File::NULL ? "" : File.read(@log).lines.last(5).join.strip
    end

    def stop(signal = "KILL")
      return if ended?

      Process.kill(signal, @pid)
      return if wait(3)

      Process.kill("KILL", @pid)
      wait(3)
    end

    def wait(seconds)
      deadline = now + seconds
      sleep 0.01 until ended? || now > deadline
      ended?
    end

    private

    def ended?
      @status ||= Process.wait2(@pid, Process::WNOHANG)&.last
      !@status.nil?
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
