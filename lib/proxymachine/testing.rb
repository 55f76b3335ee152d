# frozen_string_literal: true

require_relative "../proxymachine"
require_relative "extension"
require_relative "testing/loading"
require_relative "testing/router"

class ProxyMachine
  # Tests of a config without a server: a loaded config answers the question where a client would be connected.
  #
  #   require "proxymachine/testing"
  #
  #   router = ProxyMachine::Testing.load("router.rb")
  #   router.decide("GET /cats HTTP/1.1\r\n\r\n").remote # => "10.0.0.1:80"
  #   router.cuts("GET /cats HTTP/1.1\r\n\r\n")          # => [], if the router never decides on half a request
  #
  # docs/testing-routers.md is a guide; "proxymachine/rspec" and "proxymachine/minitest" add matchers and assertions.
  module Testing
    # Loads a config. No socket is opened and no thread is started, unless the config itself does so. The constants,
    # methods, classes and blocks of each loaded config are its own, so several configs can be loaded into one process,
    # and one config several times.
    #
    #   router = ProxyMachine::Testing.load("config/router.rb")
    #
    # @param path [String, Pathname] the config file
    # @return [Router]
    # @raise [ConfigError] naming file and line, if the server would refuse the config
    def self.load(path)
      Router.new(path.to_s, *Loading.new(path.to_s).run)
    end
  end
end
