# frozen_string_literal: true

class ProxyMachine
  class Cluster
    # The last message of each topic of the Bus, for workers that start later. A topic is a kind, the name of an
    # upstream and, for some kinds, a server.
    # @api private
    class Topics
      # A new worker gets the topics in this order: a server is listed before its state is set.
      KINDS = %w[servers addresses state phase reached].freeze
      private_constant :KINDS

      # @param topics [Hash{Array<String> => Array}] messages from before an upgrade
      def initialize(topics)
        @topics = topics
      end

      # @param topic [Array<String>]
      # @return [Array, nil] its last message
      def [](topic) = @topics[topic]

      # @param topic [Array<String>]
      # @param message [Array]
      def []=(topic, message)
        @topics[topic] = message
      end

      # @return [Array<Array>] the last messages of all topics
      def messages
        @topics.sort_by { |(kind, *), _| KINDS.index(kind) || KINDS.size }.map(&:last)
      end

      # @yieldparam message [Array] the last one of a topic
      # @return [Array<String>] the names of the topics for which the block is true
      def names
        @topics.filter_map { |(_, name), message| name if yield message }
      end

      # Drops topics.
      # @yieldparam topic [Array<String>]
      # @yieldreturn [Boolean] whether to drop it
      def forget
        @topics.reject! { |topic, _| yield topic }
      end

      # Drops the topics of other names, and the states of other servers.
      # @param servers [Hash{String => Array<String>}] the servers with states, by the names of their upstreams
      def retain(servers)
        listed = servers.transform_values { |list| list.to_h { |server| [server, true] } }
        @topics.select! do |(kind, name, server), _|
          listed.key?(name) && (kind != "state" || listed[name].key?(server))
        end
      end
    end
  end
end
