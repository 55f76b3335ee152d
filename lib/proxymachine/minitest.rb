# frozen_string_literal: true

require "minitest"
require "minitest/assertions"
require_relative "testing/expectations"

class ProxyMachine
  module Testing
    # Minitest's assertions for routers, which `require "proxymachine/minitest"` adds to all tests.
    #
    #   class RouterTest < Minitest::Test
    #     def test_routes_cats
    #       router = ProxyMachine::Testing.load("router.rb")
    #       assert_routes router, "GET /cats HTTP/1.1\r\n\r\n", "10.0.0.1:80"
    #       assert_decides_alike_however_cut router, "GET /cats HTTP/1.1\r\n\r\n"
    #     end
    #   end
    module Assertions
      # Fails unless the router connects the client, to certain remotes if they are named.
      #
      #   assert_routes router, "GET /cats HTTP/1.1\r\n\r\n", "10.0.0.1:80", :ip => "192.0.2.1"
      #
      # @param router [Router]
      # @param bytes [String] what the client sends
      # @param remotes [Array<String, Symbol, Regexp>] all remotes, or the first one; none for any
      # @param client [Hash] see {Router#decide}
      # @return [true]
      def assert_routes(router, bytes, *remotes, **client)
        expectation = Expectations::Route.new(bytes, client)
        expectation.to(remotes.flatten) unless remotes.empty?
        assert_expectation(router, expectation)
      end

      # Fails unless the router closes the connection, with certain words if they are given.
      #
      #   assert_closes router, "DELETE / HTTP/1.1\r\n\r\n", /405 Method Not Allowed/
      #
      # @param router [Router]
      # @param bytes [String] what the client sends
      # @param words [Array<String, Regexp, nil>] the last words; nil for none
      # @param client [Hash] see {Router#decide}
      # @return [true]
      def assert_closes(router, bytes, *words, **client)
        expectation = Expectations::Close.new(bytes, client)
        expectation.with(words.first) unless words.empty?
        assert_expectation(router, expectation)
      end

      # Fails unless the router waits for more bytes.
      #
      #   assert_waits router, "GET /cats HT"
      #
      # @param router [Router]
      # @param bytes [String] what the client has sent so far
      # @param client [Hash] see {Router#decide}
      # @return [true]
      def assert_waits(router, bytes, **client)
        assert_expectation(router, Expectations::Wait.new(bytes, client))
      end

      # Fails if the decision depends on the pieces in which the bytes arrive.
      #
      #   assert_decides_alike_however_cut router, "GET /cats HTTP/1.1\r\n\r\n"
      #
      # @param router [Router]
      # @param bytes [String] what the client sends
      # @param client [Hash] see {Router#decide}
      # @return [true]
      def assert_decides_alike_however_cut(router, bytes, **client)
        assert_expectation(router, Expectations::DecideAlike.new(bytes, client))
      end

      private

      def assert_expectation(router, expectation)
        assert(expectation.met?(router), -> { expectation.message })
      end

      ::Minitest::Assertions.send(:include, self) # YARD does not know that module, and fails at a plain include.
    end
  end
end
