# frozen_string_literal: true

require "json"
require "socket"
require_relative "systemd"
require_relative "upgrade"

class ProxyMachine
  # The listening sockets that this process was started with: by the one whose place it takes (see Upgrade), or by
  # systemd.
  # @api private
  class Inheritance
    # @return [Array] [[descriptor, address]]
    attr_reader :sockets

    def initialize
      inherited = ENV.delete(Upgrade::VARIABLE)
      inherited ? read(JSON.parse(inherited)) : @sockets = Systemd.sockets
      @sockets.each { |fd,| keep_from_children(fd) }
    end

    # Whether a process waits for this one to serve.
    def predecessor?
      !@channel.nil?
    end

    # The engine has its own descriptors for what it wanted; the rest is nobody's.
    def close
      @sockets.each { |fd,| IO.for_fd(fd).close }
      @sockets = []
    end

    # The process before says nothing until this one is ready: what can be read there is its end.
    # @raise [StartError] if it does not wait any more
    def confirm
      gone if @channel&.wait_readable(0)
    end

    # Tells the process before that this one serves, and hears from it what it has counted.
    # @yield see #receive_counts; without a block another process receives them
    # @raise [StartError] if that one does not wait any more
    def take_over(&counted)
      return unless @channel

      say("ready #{Process.pid}")
      counted ? receive_counts(&counted) : @channel.close
      @channel = nil
    end

    # Yields what the process before has counted, now and when it ends.
    # @yieldparam max [Integer] most connections at once
    # @yieldparam total [Integer] connections
    # @yieldparam counts [String, nil] what its admin showed
    def receive_counts
      channel = @channel or return
      Thread.new { channel.each_line { |line| yield(*JSON.parse(line)) } }
    end

    # Tells it that this one does not.
    # @param reason [String]
    def fail(reason)
      @channel&.puts("failed #{reason.lines.first.chomp}")
    rescue SystemCallError
      nil # Nobody waits any more.
    end

    private

    def read(inherited)
      @channel = UNIXSocket.for_fd(inherited.fetch("channel"))
      @channel.close_on_exec = true
      @sockets = inherited.fetch("sockets")
      leave_parent if ENV["NOTIFY_SOCKET"]
    end

    # What a config starts shall not listen there.
    def keep_from_children(descriptor)
      IO.for_fd(descriptor, autoclose: false).close_on_exec = true
    rescue SystemCallError
      nil # The engine says what is wrong with it.
    end

    # systemd does not wait for the end of a main process that was not its child when it heard of it, but kills it. A
    # child whose parent ends is systemd's.
    def leave_parent
      exit!(0) if fork
      say("started #{Process.pid}")
    end

    def say(line)
      @channel.puts(line)
    rescue SystemCallError
      gone
    end

    def gone
      raise StartError, "the process before has ended"
    end
  end
end
