# frozen_string_literal: true

require_relative "init_channel"
require_relative "new_process"

class ProxyMachine
  class Lifecycle
    # The init process of a container. Process 1 inherits all orphans and has to reap them. It must not be the server:
    # a server that reaps any process takes children away for which the config waits. So the program forks before it
    # loads anything else, and process 1 only reaps, passes signals on, and ends with the server.
    # @api private
    class Init
      # Signals that Ruby does not let a program trap, and those that are about process 1 itself.
      OWN = %w[EXIT KILL STOP CHLD CLD SEGV BUS ILL FPE VTALRM PIPE].freeze
      SIGNALS = (Signal.list.keys - OWN).uniq { |name| Signal.list[name] }.freeze
      # Signals for all servers: one that hands over still has connections and logs. Other signals are for the newest.
      FOR_ALL = %w[QUIT TERM INT USR1].freeze
      # The request that makes a process group the terminal's foreground: Ctrl-C signals that group alone.
      TIOCSPGRP = 0x5410
      private_constant :OWN, :SIGNALS, :FOR_ALL, :TIOCSPGRP

      # Continues in a child process if this is process 1. The init process does not return.
      def self.fork_server
        InitChannel.inherit
        new.run if Process.pid == 1
      end

      def initialize
        @reader, @writer = IO.pipe
        @servers = []
        @statuses = {}
      end

      # Forks. Returns in the child only, or if the system allows no process: then there is no init process.
      def run
        former = SIGNALS.to_h { |signal| [signal, trap(signal) { report("signal #{signal}") }] }
        trap("CHLD") { report("child") }
        pid = fork_process
        return serve(former) unless pid

        close_sockets
        foreground(pid)
        exit!(supervise(pid))
      end

      private

      def fork_process
        NewProcess.fork
      rescue SystemCallError
        nil # Process 1 has to be the server itself.
      end

      # The traps of a process that cannot be one, and the descriptors of systemd, become the server's.
      def serve(former)
        former.each { |signal, handler| trap(signal, handler || "SYSTEM_DEFAULT") }
        trap("CHLD", "DEFAULT")
        @reader.close
        InitChannel.io = @writer
        ENV["LISTEN_PID"] = Process.pid.to_s if ENV["LISTEN_PID"] == "1"
      end

      # @param server [Integer] the process id of the first server
      # @return [Integer] the exit status of the newest server; the last one known if that one's is not
      def supervise(server)
        @servers << server
        until @servers.empty?
          word, value, status = @reader.gets.split
          case word
          when "signal" then pass_on(value)
          when "server" then @servers << (server = value.to_i)
          when "ended" then @statuses[value.to_i] = status.to_i
          end
          drop_ended
        end
        @statuses.fetch(server) { @statuses.values.last || 1 }
      end

      def report(line)
        @writer.write_nonblock("#{line}\n", exception: false)
      end

      def pass_on(signal)
        (FOR_ALL.include?(signal) ? @servers : @servers.last(1)).each do |pid|
          Process.kill(signal, pid)
        rescue Errno::ESRCH
          nil # It has just ended.
        rescue SystemCallError => e
          warn "proxymachine: cannot pass #{signal} on to process #{pid}: #{e.message}"
        end
      end

      # A server that is the child of another one is reaped there. A report of its end may be lost with that process.
      def drop_ended
        reap
        @servers.select! { |pid| exist?(pid) }
      end

      # Reaps all processes that have ended: one signal may stand for several.
      def reap
        while (pid, status = Process.wait2(-1, Process::WNOHANG))
          @statuses[pid] = InitChannel.exit_status(status) if @servers.include?(pid)
        end
      rescue Errno::ECHILD
        nil
      end

      def exist?(pid)
        Process.kill(0, pid)
      rescue Errno::ESRCH
        false
      rescue Errno::EPERM
        true
      end

      # Listening sockets of systemd must close when the server closes them.
      def close_sockets
        return unless ENV["LISTEN_PID"] == "1"

        ENV["LISTEN_FDS"].to_i.times { |index| IO.for_fd(3 + index).close }
      rescue SystemCallError
        nil # The server reports an invalid descriptor.
      end

      # The server gets a process group of its own. Otherwise a Ctrl-C, which signals a group, would reach the server
      # twice, and the second INT cuts off its connections.
      def foreground(pid)
        Process.setpgid(pid, pid)
        File.open("/dev/tty") { |terminal| terminal.ioctl(TIOCSPGRP, [pid].pack("i")) }
      rescue SystemCallError
        nil # There is no terminal.
      end
    end
  end
end
