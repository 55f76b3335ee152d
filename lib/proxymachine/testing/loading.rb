# frozen_string_literal: true

require_relative "../config/loader"
require_relative "constants"
require_relative "current_config"
require_relative "namespace"
require_relative "required_files"

class ProxyMachine
  module Testing
    # Loads a config file into a configuration and a namespace of its own.
    # @api private
    class Loading
      # @param path [String] relative to the working directory
      def initialize(path)
        @path = path
      end

      # @return [Array(Config, Module)] the configuration, and the module with the constants of the file
      # @raise [ConfigError] naming file and, if known, line
      def run
        config = Config.new
        namespace = Namespace.new
        RequiredFiles.reloadable { |files| load(config, namespace, files) }
        [config, namespace.scope]
      end

      private

      def load(config, namespace, files)
        CurrentConfig.with(config, namespace.scope, files) do
          keep_logger { Config::Loader.load(@path) { |file| namespace.load(@file = file) } }
          config.upstreams.check
        end
      rescue SystemExit => e
        raise ConfigError, Config::Loader.exited(@path, e.status)
      rescue ConfigError => e
        place = Config::Loader.location(e, @file) if @file
        raise if place.nil? || e.message.start_with?(place)

        text = "#{place}: #{e.message}"
        raise ConfigError, text
      end

      # The LOGGER of the tests stays as it is, whatever the config does to it.
      def keep_logger
        logger = LOGGER
        yield
      ensure
        restore(logger) unless Object.const_defined?(:LOGGER) && LOGGER.equal?(logger)
      end

      def restore(logger)
        Object.send(:remove_const, :LOGGER) if Object.const_defined?(:LOGGER)
        Object.const_set(:LOGGER, logger)
      end
    end
  end
end
