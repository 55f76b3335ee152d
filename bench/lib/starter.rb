# frozen_string_literal: true

module Bench
  # The running peers of one work: those that may be are kept from round to round, the others are new each time.
  class Starter
    def initialize(work, processors, directory)
      @work = work
      @processors = processors
      @directory = directory
      @running = {}
    end

    # Yields the contender's process and its setting.
    def with(contender)
      peer, setting = @running[contender.label] || start(contender)
      @running[contender.label] = [peer, setting] unless contender.fresh
      good = false
      result = yield peer, setting
      good = true
      result
    ensure
      drop(contender, peer) if contender.fresh || !good
    end

    def stop
      @running.each_value { |peer, _| peer.stop }
      @running.clear
    end

    # Milliseconds from the start of the process until a client of it was served.
    def time(contender)
      setting = setting_of(contender)
      started = now
      words, env = contender.implementation.command(setting)
      child = Child.new([*@processors.proxy, *words], env: env || {})
      contender.implementation.respond_to?(:finished) ? child.wait(20) : served(setting.port)
      { ms: ((now - started) * 1000).round(2), errors: 0 }
    ensure
      child&.stop
    end

    private

    def drop(contender, peer)
      @running.delete(contender.label)
      peer&.stop
    end

    def start(contender)
      setting = setting_of(contender)
      [contender.implementation.start(setting, @processors.proxy), setting]
    end

    def setting_of(contender)
      Peer::Setting.new(config: contender.config, log: contender.log, backend: Ports.free, port: Ports.free,
                        directory: @directory)
    end

    def served(port, seconds: 20)
      deadline = now + seconds
      begin
        socket = TCPSocket.new("127.0.0.1", port)
      rescue Errno::ECONNREFUSED
        raise Trouble, "does not listen" if now > deadline

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
