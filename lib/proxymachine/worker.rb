# frozen_string_literal: true

require "socket"
require_relative "worker_operations"

class ProxyMachine
  # A process of a Cluster that serves, as the cluster knows it.
  # @api private
  class Worker
    # Seconds that it may take until it serves.
    PATIENCE = 60
    private_constant :PATIENCE

    # @return [Integer]
    attr_reader :pid

    # @param sockets [Array] [[descriptor, address, port]]
    # @param loader [Proc] loads the config and returns its Configuration
    # @param siblings [Array<Worker>] whose channels are not the new one's business
    # @raise [StartError] if the system does not allow it
    def self.start(sockets, loader, siblings)
      ours, theirs = UNIXSocket.pair
      pid = fork do
        Process.setpgrp # A signal of the terminal is the cluster's to hear, and to pass on.
        [ours, *siblings.map(&:channel)].each(&:close)
        exit(serve(Operations.new(theirs, sockets), loader))
      end
      new(pid, ours)
    rescue SystemCallError => e
      ours&.close
      raise StartError, "cannot start a worker: #{e.message}"
    ensure
      theirs&.close
    end

    def self.serve(operations, loader)
      %w[HUP USR1 USR2].each { |signal| trap(signal, "IGNORE") }
      %w[QUIT TERM INT CHLD].each { |signal| trap(signal, "DEFAULT") }
      ProxyMachine.operations = operations
      operations.install_traps
      loader.call
      ProxyMachine.run("worker", nil, nil)
      0
    rescue SystemExit => e
      e.status
    rescue Error => e
      operations.failed(e.message)
      1
    rescue Exception => e # rubocop:disable Lint/RescueException -- it is this process's last
      operations.failed("#{e.message} (#{e.class})")
      raise
    ensure
      operations.leave
      $stdout.flush
    end
    private_class_method :serve

    # @return [UNIXSocket]
    attr_reader :channel

    def initialize(pid, channel)
      @pid = pid
      @channel = channel
    end

    # Waits until it serves.
    # @raise [StartError] if it does not
    def await
      answer = @channel.wait_readable(PATIENCE) ? @channel.gets.to_s.chomp : "failed nothing after #{PATIENCE} s"
      word, reason = answer.split(" ", 2)
      raise StartError, "a worker failed: #{reason || "it ended before it served"}" unless word == "ready"
    end

    # Has it end when its last connection does, while others accept.
    def retire
      @channel.puts("retire")
    rescue SystemCallError
      nil # It has ended already.
    end

    # @param name [String] a signal's
    def signal(name)
      Process.kill(name, @pid)
    rescue Errno::ESRCH
      nil # It has ended already.
    end

    # Ends it at once: it does not serve yet.
    def stop
      signal("KILL")
    end

    # @return [Process::Status, nil] once it has ended; then it is forgotten
    def status
      _, status = Process.wait2(@pid, Process::WNOHANG)
      return unless status

      @reason = last_words
      @channel.close
      status
    end

    # @return [String, nil] why it has ended, if it knew
    attr_reader :reason

    # As much as fits in the channel while nobody reads.
    def last_words
      said = @channel.read_nonblock(1 << 16, exception: false)
      said[/^failed (.*)/, 1]&.force_encoding("UTF-8")&.scrub if said.is_a?(String)
    rescue SystemCallError
      nil # It has left what it was told unread.
    end
    private :last_words
  end
end
