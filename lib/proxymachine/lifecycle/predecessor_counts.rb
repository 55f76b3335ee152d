# frozen_string_literal: true

require "socket"
require_relative "../new_thread"
require_relative "message"

class ProxyMachine
  class Lifecycle
    # What the processes before this one have counted. Each tells it on a channel of its own when its successor takes
    # over, and when it ends. An older process may outlive a younger one, so an upgrade passes the channels on.
    #
    # A line is [most connections at once, connections since the line before, { descriptor => what the admin shows }].
    # A channel has the same descriptor in all processes, which tells whose counts these are.
    # @api private
    class PredecessorCounts
      # @param channels [Array<IO>] of the process that this one replaces, and of earlier ones
      def initialize(channels = [])
        @channels = channels
        @latest = {}
        @lock = Mutex.new
      end

      # Receives the counts from now on.
      # @yieldparam max [Integer] most connections at once
      # @yieldparam total [Integer] connections, to be added
      # @yieldparam counts [Hash{Integer=>String, nil}] what the admin of each process shows, to be replaced
      def receive(&counted)
        return if @channels.empty?

        @counted = counted
        @reader = NewThread.start do
          take(@channels.first(1)) # The others once the process that this one replaces does not read them any more.
          take(@channels) until @channels.empty?
        end
      end

      # Yields the descriptors of the channels that a next process has to know. None is closed while the block runs.
      def lend
        @lock.synchronize { yield @channels.reject { |channel| ended?(channel) }.map(&:fileno) }
      end

      # Receives nothing any more. What the admins of processes show that still run, the next process has to show.
      # @return [Hash{Integer=>String}] this
      def pass_on
        return {} unless @reader

        @lock.synchronize { @reader.kill }
        nil while @channels.any? && take(@channels, 0) # Lines that wait in a buffer of this process.
        passed = @latest.slice(*@channels.map(&:fileno))
        @counted.call(0, 0, passed.transform_values { nil })
        passed
      end

      private

      # Takes a line of each channel that has one.
      def take(channels, timeout = nil)
        ready, = IO.select(channels, nil, nil, timeout)
        @lock.synchronize { ready&.each { |channel| take_line(channel) } }
      end

      def take_line(channel)
        line = channel.gets or return @channels.delete(channel).close
        max, total, counts = Message.parse(line)
        @latest.merge!(counts)
        @counted.call(max, total, counts)
      end

      # Another process may read the channel, so this one only looks.
      def ended?(channel)
        [nil, ""].include?(channel.recv_nonblock(1, Socket::MSG_PEEK, exception: false))
      rescue IOError
        false # A line waits in a buffer of this process.
      rescue SystemCallError
        true
      end
    end
  end
end
