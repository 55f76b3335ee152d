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
      # What a line raises if its process was killed while it wrote.
      UNFINISHED = [SystemCallError, ArgumentError, TypeError].freeze
      private_constant :UNFINISHED

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
        return if @channels.empty? || @passed_on

        @counted = counted
        @reader = NewThread.start { take until @channels.empty? }
      end

      # Yields the descriptors of the channels that a next process has to know. None is closed while the block runs.
      def lend
        @lock.synchronize { yield @channels.reject { |channel| ended?(channel) }.map(&:fileno) }
      end

      # Receives nothing any more. What the admins of processes show that still run, the next process has to show.
      # @return [Hash{Integer=>String}] what each of them shows, by its channel's descriptor
      def pass_on
        @passed_on = true
        return {} unless @reader

        @lock.synchronize { @reader.kill }
        nil while @channels.any? && take(0) # Lines that wait in a buffer of this process.
        passed = @latest.slice(*@channels.map(&:fileno))
        @counted.call(0, 0, passed.transform_values { nil })
        passed
      end

      # Nobody here wants the counts.
      def close
        @channels.each(&:close).clear
      end

      private

      # Takes a line of each channel that has one: at first only of that of the process that this one replaces, which
      # reads the others until it has told its counts.
      def take(timeout = nil)
        ready, = IO.select(@has_begun ? @channels : @channels.first(1), nil, nil, timeout)
        @lock.synchronize do
          @has_begun ||= !ready.nil?
          ready&.each { |channel| take_line(channel) }
        end
      end

      def take_line(channel)
        max, total, counts = line(channel)
        return @channels.delete(channel).close unless max

        counts = { channel.fileno => counts }.compact unless counts.is_a?(Hash) # Of an earlier version.
        @latest.merge!(counts)
        @counted.call(max, total, counts)
      end

      # Returns what the next line tells; nil at the end.
      def line(channel)
        text = channel.gets
        text && Message.parse(text)
      rescue *UNFINISHED
        nil
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
