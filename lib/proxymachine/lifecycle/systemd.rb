# frozen_string_literal: true

require "socket"
require_relative "../new_thread"

class ProxyMachine
  class Lifecycle
    # The protocols of systemd: sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). Without systemd no socket is
    # passed, and notifications are dropped.
    # @api private
    module Systemd
      # SD_LISTEN_FDS_START: the first descriptor that is passed.
      LISTEN_FDS_START = 3
      private_constant :LISTEN_FDS_START

      class << self
        # @return [Array] the sockets that systemd has opened: [[descriptor, "systemd:NAME"]]
        def sockets
          pid, count, names = %w[LISTEN_PID LISTEN_FDS LISTEN_FDNAMES].map { |name| ENV.delete(name) }
          return [] unless pid.to_i == Process.pid

          names = names.to_s.b.split(":").map { |name| SafeInspect.utf8(name).scrub }
          Array.new(count.to_i) { |index| [LISTEN_FDS_START + index, "systemd:#{names[index] || index}"] }
        end

        # The program serves, with its first config or a reloaded one.
        def ready
          notify("READY=1", "MAINPID=#{Process.pid}")
          watchdog
        end

        # The config is being reloaded, until #ready.
        def reloading
          notify("RELOADING=1", "MONOTONIC_USEC=#{Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond)}")
        end

        # The program drains.
        def stopping
          notify("STOPPING=1")
        end

        # @param pid [Integer] the process that serves from now on
        def succeeded_by(pid)
          @watchdog&.kill
          notify("READY=1", "MAINPID=#{pid}")
        end

        # @param text [String] one line
        def status(text)
          notify("STATUS=#{text}") if ENV["NOTIFY_SOCKET"]
        end

        private

        # Notifies the watchdog from a Ruby thread: if Ruby threads run, blocks can decide. WATCHDOG_USEC stays in the
        # environment for the next process of an upgrade.
        def watchdog
          period = ENV["WATCHDOG_USEC"].to_i / 1_000_000.0
          return unless period.positive?

          @watchdog ||= NewThread.start do
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
          nil # A lost notification is not repeated; the next one replaces it.
        ensure
          socket&.close
        end
      end
    end
  end
end
