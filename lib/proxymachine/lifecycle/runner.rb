# frozen_string_literal: true

require_relative "../upstreams/local_bus"

class ProxyMachine
  class Lifecycle
    # The hooks that a run of the server calls. This one does nothing, for programs that call ProxyMachine.run
    # themselves; the command line sets a Single or a Cluster::Worker.
    # @api private
    class Runner
      # @return [Array] inherited listening sockets: [[descriptor, address]]
      def sockets = []

      # @return [Upstreams::LocalBus] passes messages about upstreams between the processes that serve
      def bus = Upstreams::LocalBus.new

      # The server's sockets are bound.
      # @param _server [Server]
      # @raise [StartError] if the process cannot go on
      def bound(_server); end

      # The server accepts connections.
      def serving
        configuration = ProxyMachine.configuration
        [*configuration.lasting_warnings, *configuration.warnings].each { |line| Log.line(:warn, line) }
      end

      # @return [Boolean] whether the server logs its addresses
      def announces? = true

      # A drain begins. May be called from a trap.
      def stopping; end

      # @param _stats [String] "current/most at once/total"
      def show(_stats); end

      # Loads the config for the first time. In an upgrade the process before learns that the config exits.
      # @param path [String] the config's
      # @yield loads it
      def load(path)
        yield
      rescue SystemExit => e
        failed(Config::Loader.failure(e, path))
        raise
      end

      # The process does not serve.
      # @param _reason [String]
      def failed(_reason); end
    end
  end
end
