# frozen_string_literal: true

module Bench
  # The running peers of a workload. Peers are kept from round to round, except those that must be fresh.
  class PeerPool
    def initialize(workload, processors, directory)
      @workload = workload
      @processors = processors
      @directory = directory
      @running = {}
    end

    # Yields the candidate's process and setting.
    def with(candidate)
      peer, setting = @running[candidate.label] || start(candidate)
      @running[candidate.label] = [peer, setting] unless candidate.fresh
      good = false
      result = yield peer, setting
      good = true
      result
    ensure
      drop(candidate, peer) if candidate.fresh || !good
    end

    def stop
      @running.each_value { |peer, _| peer.stop }
      @running.clear
    end

    # Returns the milliseconds from the start of the process to the first client served.
    def time(candidate)
      setting = setting_of(candidate)
      started = now
      words, env = candidate.implementation.command(setting)
      child = Child.new([*@processors.proxy, *words], env: env || {})
      candidate.implementation.respond_to?(:finished) ? child.wait(20) : served(setting.port)
      { ms: ((now - started) * 1000).round(2), errors: 0 }
    ensure
      child&.stop
    end

    private

    def drop(candidate, peer)
      @running.delete(candidate.label)
      peer&.stop
    end

    def start(candidate)
      setting = setting_of(candidate)
      [candidate.implementation.start(setting, @processors.proxy), setting]
    end

    def setting_of(candidate)
      Peer::Setting.new(config: candidate.config, log: candidate.log, backend: Ports.free, port: Ports.free,
                        side_port: Ports.free, directory: @directory)
    end

    def served(port, seconds: 20)
      deadline = now + seconds
      begin
        socket = TCPSocket.new("127.0.0.1", port)
      rescue Errno::ECONNREFUSED
        raise Error, "does not listen" if now > deadline

        sleep 0.001
        retry
      end
      socket.write("x")
      socket.read
    rescue Errno::ECONNRESET, Errno::EPIPE
      nil
    ensure
      socket&.close
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
