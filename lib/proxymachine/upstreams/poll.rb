# frozen_string_literal: true

class ProxyMachine
  module Upstreams
    # A question to all other processes before a stop: whether they have clients.
    # @api private
    class Poll
      # @return [Integer] its number
      attr_reader :number

      # @param number [Integer]
      def initialize(number)
        @number = number
        @answers = 0
      end

      # @param others [Integer] how many processes are asked. Some of them may have answered already.
      def asked(others)
        @others = others
      end

      # Counts a process without clients.
      def answered
        @answers += 1
      end

      # Whether no process has clients.
      def complete? = @answers == @others
    end
  end
end
