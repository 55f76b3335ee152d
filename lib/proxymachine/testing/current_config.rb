# frozen_string_literal: true

class ProxyMachine
  module Testing
    # Makes a loaded config the one that the verbs edit, on this thread and for the duration of a block. So the configs
    # of one process do not see each other, also if tests run in several threads.
    # @api private
    module CurrentConfig
      KEY = :proxymachine_testing_config
      # A configuration, the module with its constants, and a list of the files that have called a verb; nil if no
      # caller asks for it.
      Frame = Struct.new(:config, :scope, :files)
      private_constant :KEY, :Frame

      class << self
        # Has the verbs edit a configuration while the block runs.
        # @param config [Config]
        # @param scope [Module] has its constants
        # @param files [Array<String>, nil] gets the files from which verbs are called
        # @return [Object] the block's value
        def with(config, scope, files = nil)
          thread = Thread.current
          outer = thread.thread_variable_get(KEY)
          thread.thread_variable_set(KEY, Frame.new(config, scope, files))
          yield
        ensure
          thread.thread_variable_set(KEY, outer)
        end

        # @return [Module, nil] the module with the constants of the config that runs on this thread
        def scope
          Thread.current.thread_variable_get(KEY)&.scope
        end

        # @return [Config, nil] the configuration of the config that runs on this thread
        def get
          frame = Thread.current.thread_variable_get(KEY) or return
          frame.files&.concat(caller_locations.filter_map(&:absolute_path))
          frame.config
        end
      end

      # Precedes the methods of ProxyMachine.
      # @api private
      module Lookup
        # @return [Config]
        def configuration
          CurrentConfig.get || super
        end

        # Does nothing while a config is loaded: a program that embeds the server has its router tested, too.
        def run(name, host, port)
          super unless CurrentConfig.scope
        end
      end

      ProxyMachine.singleton_class.prepend(Lookup)
    end
  end
end
