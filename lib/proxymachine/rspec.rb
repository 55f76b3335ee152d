# frozen_string_literal: true

require "rspec/expectations"
require_relative "testing/expectations"

class ProxyMachine
  module Testing
    # RSpec's matchers for routers, which `require "proxymachine/rspec"` adds to all example groups.
    #
    #   RSpec.describe "router.rb" do
    #     let(:router) { ProxyMachine::Testing.load("router.rb") }
    #
    #     it "routes cats" do
    #       expect(router).to route("GET /cats HTTP/1.1\r\n\r\n").to("10.0.0.1:80")
    #       expect(router).to decide_alike_however_cut("GET /cats HTTP/1.1\r\n\r\n")
    #     end
    #   end
    module Matchers
      # Matches a router that connects the client, to certain remotes if #to names them.
      #
      #   expect(router).to route("GET /cats HTTP/1.1\r\n\r\n", :ip => "192.0.2.1").to("10.0.0.1:80", "10.0.0.2:80")
      #
      # @param bytes [String] what the client sends
      # @param client [Hash] see {Router#decide}
      # @return [Matcher]
      def route(bytes, **client)
        RouteMatcher.new(Expectations::Route.new(bytes, client))
      end

      # Matches a router that closes the connection, with certain words if #with names them.
      #
      #   expect(router).to close("DELETE / HTTP/1.1\r\n\r\n").with(/405 Method Not Allowed/)
      #
      # @param bytes [String] what the client sends
      # @param client [Hash] see {Router#decide}
      # @return [Matcher]
      def close(bytes, **client)
        CloseMatcher.new(Expectations::Close.new(bytes, client))
      end

      # Matches a router that waits for more bytes.
      #
      #   expect(router).to wait_for("GET /cats HT")
      #
      # @param bytes [String] what the client has sent so far
      # @param client [Hash] see {Router#decide}
      # @return [Matcher]
      def wait_for(bytes, **client)
        Matcher.new(Expectations::Wait.new(bytes, client))
      end

      # Matches a router whose decision does not depend on the pieces in which the bytes arrive.
      #
      #   expect(router).to decide_alike_however_cut("GET /cats HTTP/1.1\r\n\r\n")
      #
      # @param bytes [String] what the client sends
      # @param client [Hash] see {Router#decide}
      # @return [Matcher]
      def decide_alike_however_cut(bytes, **client)
        Matcher.new(Expectations::DecideAlike.new(bytes, client))
      end

      # A matcher of RSpec for an expectation.
      # @api private
      class Matcher
        include ::RSpec::Matchers::Composable

        # @param expectation [Expectations::Expectation]
        def initialize(expectation)
          @expectation = expectation
        end

        # @param router [Router]
        # @return [Boolean]
        def matches?(router)
          @expectation.met?(router)
        end

        # @return [String]
        def description = @expectation.description

        # @return [String]
        def failure_message = @expectation.message

        # @return [String]
        def failure_message_when_negated = @expectation.message("not ")
      end

      # The matcher of #route.
      # @api private
      class RouteMatcher < Matcher
        # @param remotes [Array<String, Symbol, Regexp>] all remotes, or the first one
        # @return [self]
        def to(*remotes)
          @expectation.to(remotes.flatten)
          self
        end
      end

      # The matcher of #close.
      # @api private
      class CloseMatcher < Matcher
        # @param words [String, Regexp, nil] the last words; nil for none
        # @return [self]
        def with(words)
          @expectation.with(words)
          self
        end
      end

      ::RSpec.configure { |config| config.include(self) } if ::RSpec.respond_to?(:configure)
    end
  end
end
