# frozen_string_literal: true

class ProxyMachine
  module Testing
    # The files of routes that a config requires. Ruby loads a required file once, but each loaded config needs the
    # verbs in it. So such a file is forgotten: the next `require` loads it again.
    # @api private
    module RequiredFiles
      @forgotten = []

      class << self
        # Loads a config.
        # @yieldparam files [Array<String>] gets the files from which verbs are called
        def reloadable
          verbose = $VERBOSE
          $VERBOSE = nil if @forgotten.any? # A file that is loaded again assigns its constants again.
          before = $LOADED_FEATURES.dup
          yield files = []
        ensure
          $VERBOSE = verbose
          forget(($LOADED_FEATURES - before) & files)
        end

        private

        def forget(files)
          @forgotten |= files
          files.each { |file| $LOADED_FEATURES.delete(file) }
        end
      end
    end
  end
end
