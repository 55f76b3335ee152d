# frozen_string_literal: true

require "socket"
require_relative "../new_thread"
require_relative "bus_peer"
require_relative "topics"

class ProxyMachine
  class Cluster
    # Passes messages between the workers, in a thread of the main process. One worker is the leader, which does what
    # must be done once in all. The bus keeps the last message of each topic, which a new worker gets before it serves.
    # BusMember is a worker's side.
    #
    # A message has a kind and arguments. A member sends
    #
    # * publish, topic, message: to all others. The topic may be nil.
    # * ask, message: to all others. The member learns how many they are.
    # * request, message: to the leader.
    # * retain, servers by name: drops the topics of other names, and the states of other servers.
    #
    # and receives
    #
    # * first of all, a message for each topic, then joined.
    # * message, message; request, message; asked, message, number of others.
    # * lead, whether it leads, whether a leader before has ended.
    # @api private
    class Bus
      # @param topics [Hash{Array<String> => Array}] messages from before an upgrade
      def initialize(topics = {})
        @lock = Mutex.new
        @peers = []
        @topics = Topics.new(topics)
        @is_orphaned = false
        @reader, @writer = IO.pipe
      end

      # Starts the thread, unless it runs.
      # @raise [ThreadError] if the system does not allow another thread
      def start
        @start ||= NewThread.start { serve }
      end

      # Adds a worker. It gets the last message of each topic, and learns when it has got all.
      # @param socket [UNIXSocket] the main process's side
      def add(socket)
        @lock.synchronize do
          peer = BusPeer.new(socket)
          @topics.messages.each { |message| peer.send_line(["message", message]) }
          peer.send_line(["joined"])
          @peers << peer
          wake
        end
      end

      # Makes the first of these workers that is connected the leader.
      # @param sockets [Array<UNIXSocket>] the workers that serve
      def elect(sockets)
        @lock.synchronize do
          @serving = sockets
          choose_leader
        end
      end

      # @param topic [Array<String>]
      # @return [Array, nil] its last message
      def [](topic) = @lock.synchronize { @topics[topic] }

      # @yieldparam message [Array] the last one of a topic
      # @return [Array<String>] the names of the topics for which the block is true
      def names(&) = @lock.synchronize { @topics.names(&) }

      # Drops topics.
      # @yieldparam topic [Array<String>]
      # @yieldreturn [Boolean] whether to drop it
      def forget(&) = @lock.synchronize { @topics.forget(&) }

      # Removes a worker that has ended.
      # @param socket [UNIXSocket]
      def remove(socket)
        @lock.synchronize { drop(find(socket)) }
      end

      # Closes the sockets in a child process.
      def close
        [@reader, @writer, *@peers.map(&:socket)].each(&:close)
      end

      private

      def find(socket)
        @peers.find { |peer| peer.socket.equal?(socket) }
      end

      def drop(peer)
        return unless peer

        @peers.delete(peer)
        peer.socket.close
        # A former leader may have been starting servers, too.
        @is_orphaned ||= peer.has_led
        @leader = nil if @leader.equal?(peer)
        choose_leader
        wake
      end

      # Workers that are retired lead only if there is no other.
      def choose_leader
        leader = @serving.to_a.lazy.filter_map { |socket| find(socket) }.first || @peers.first
        return if leader.nil? || (leader.equal?(@leader) && !@is_orphaned)

        resign unless leader.equal?(@leader)
        @leader = leader
        leader.send_line(["lead", leader.has_led = true, @is_orphaned])
        @is_orphaned = false
        wake
      end

      def resign = @leader&.send_line(["lead", false, false])

      def wake = @writer.write_nonblock(".", exception: false)

      def serve
        pass_messages until @reader.closed?
      rescue IOError, SystemCallError
        retry # A socket was closed meanwhile.
      end

      def pass_messages
        peers = @lock.synchronize { @peers.dup }
        readable, writable = IO.select([@reader, *peers.map(&:socket)], peers.select(&:pending?).map(&:socket))
        @reader.read_nonblock(100, exception: false) if readable.delete(@reader)
        @lock.synchronize do
          readable.each { |socket| read(find(socket)) }
          writable.each { |socket| write(find(socket)) }
        end
      end

      def read(peer)
        messages = peer&.read or return drop(peer)
        messages.each { |message| handle(peer, *message) }
      end

      def write(peer)
        drop(peer) unless peer&.write
      end

      def handle(sender, kind, *rest)
        case kind
        when "publish" then publish(sender, *rest)
        when "ask" then sender.send_line(["asked", *rest, tell_others(sender, *rest)])
        when "request" then @leader&.send_line(["request", *rest])
        when "retain" then @topics.retain(*rest)
        end
      end

      def publish(sender, topic, message)
        @topics[topic] = message if topic
        tell_others(sender, message)
      end

      # @return [Integer] the number of others
      def tell_others(sender, message)
        others = @peers - [sender]
        others.each { |peer| peer.send_line(["message", message]) }
        others.size
      end
    end
  end
end
