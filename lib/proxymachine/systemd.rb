# frozen_string_literal: true

require "socket"

class ProxyMachine
  # What systemd passes (sd_listen_fds(3)) and wants to hear (sd_notify(3), sd_watchdog_enabled(3)). Without systemd
  # nothing is passed, and nobody hears.
  # @api private
  module Systemd
    # The first descriptor that is passed.
    FIRST = 3
    private_constant :FIRST

    class << self
      # @return [Array] the sockets it has opened: [[descriptor, "systemd:NAME"]]
      def sockets
        pid, count, names = %w[LISTEN_PID LISTEN_FDS LISTEN_FDNAMES].map { |name| ENV.delete(name) }
        return [] unless pid.to_i == Process.pid

        names = names.to_s.split(":")
        Array.new(count.to_i) { |index| [FIRST + index, "systemd:#{names[index] || index}"] }
      end

      # Serves, perhaps again.
      def started
        notify("READY=1", "MAINPID=#{Process.pid}")
        watch
      end

      # The config is loaded again; #started tells when that is over.
      def reloading
        notify("RELOADING=1", "MONOTONIC_USEC=#{Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond)}")
      end

      # It ends when its last connection does.
      def stopping
        notify("STOPPING=1")
      end

      # @param pid [Integer] the process that serves from now on
      def succeeded_by(pid)
        @watch&.kill
        notify("READY=1", "MAINPID=#{pid}")
      end

      # @param text [String] one line
      def status(text)
        notify("STATUS=#{text}") if ENV["NOTIFY_SOCKET"]
      end

      private

      # As long as Ruby threads get their turn, blocks can decide. The wish stays in the environment, for the process
      # that takes over in an upgrade.
      def watch
        period = ENV["WATCHDOG_USEC"].to_i / 1_000_000.0
        return unless period.positive?

        @watch ||= Thread.new do
          loop do
            notify("WATCHDOG=1")
            sleep(period / 2)
          end
        end
      end

      def notify(*lines)
        path = ENV.fetch("NOTIFY_SOCKET", nil)
        return unless path

        socket = Socket.new(:UNIX, :DGRAM)
        socket.sendmsg_nonblock(lines.join("\n"), 0, Addrinfo.unix(path.sub(/\A@/, "\0")))
      rescue SystemCallError, IOError
        nil # It is told again.
      ensure
        socket&.close
      end
    end
  end
end
