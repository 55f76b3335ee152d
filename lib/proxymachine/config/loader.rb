# frozen_string_literal: true

require_relative "../lifecycle/working_directory"
require_relative "logger_assignment"

class ProxyMachine
  class Config
    # Loads a config file, which is plain Ruby. Errors name the file and the line.
    # @api private
    module Loader
      # @param path [String] relative to the working directory of the start
      # @yieldparam full_path [String] the file to load, if not Kernel.load shall load it
      # @raise [ConfigError] naming the file and, if known, the line
      def self.load(path)
        path = SafeInspect.utf8(path)
        full_path = Lifecycle::WorkingDirectory.expand(path)
        check_readable(path, full_path)
        LoggerAssignment.silently { block_given? ? yield(full_path) : Kernel.load(full_path) }
        return if ProxyMachine.edited_config.blocks.routing?

        raise ConfigError, "#{path} has no proxy block: add proxy { |data| ... }"
      rescue SyntaxError => e
        raise ConfigError, SafeInspect.message(e)
      rescue Error, SystemExit, SignalException
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- a config may raise anything
        e = open_error(full_path) || e if e.is_a?(LoadError)
        raise ConfigError, "#{location(e, full_path) || path}: #{SafeInspect.failure(e)} (#{e.class})"
      end

      # Returns why a config cannot be loaded.
      # @param exception [Exception] what {load} raised
      # @param path [String] see {load}
      # @return [String]
      def self.failure(exception, path)
        case exception
        when Error then exception.message
        when SystemExit then exited(path, exception.status)
        else SafeInspect.text(exception.class) { "#{SafeInspect.failure(exception)} (#{exception.class})" }
        end
      end

      # Loads the file again, into a candidate. Ruby's warnings are off, since the file assigns its constants again.
      # @return [Config]
      # @raise [ConfigError] see #load
      def self.load_candidate(path)
        verbose = $VERBOSE
        $VERBOSE = nil
        forget_real_paths
        ProxyMachine.edit_candidate { load(path) }
      ensure
        $VERBOSE = verbose
      end

      # @param path [String] see #load
      # @return [String] the absolute path, and the file that a link in the path leads to
      def self.describe(path)
        full_path = Lifecycle::WorkingDirectory.expand(path)
        real_path = SafeInspect.utf8(File.realpath(full_path))
        real_path == full_path ? full_path : "#{full_path} (#{real_path})"
      rescue SystemCallError, ArgumentError
        path # It was removed meanwhile.
      end

      # Returns why a config that exits cannot be loaded.
      # @param path [String] see {load}
      # @param status [Integer] the exit status
      def self.exited(path, status)
        "#{path} ends the program while it is loaded (exit #{status})"
      end

      # Makes Ruby look up again where a link in a path leads. Since Ruby 3.3, +load+ remembers the real path of each
      # file, on which __dir__ and +require_relative+ depend, until +require+ sees that the list of loaded files was
      # changed (realpath_internal_cached and get_loaded_features_index in Ruby's load.c).
      def self.forget_real_paths
        $LOADED_FEATURES.map!(&:itself)
        require "socket"
      end

      def self.check_readable(path, full_path)
        reason = unreadable(full_path)
        raise ConfigError, "cannot read config file #{path}: #{reason}" if reason
      end

      # @return [String, nil] why a file cannot be read, or a directory that leads there cannot be entered
      def self.unreadable(path)
        stat = File.stat(path)
        return "it is a directory" if stat.directory?

        "permission denied" unless stat.readable?
      rescue Errno::ENOENT
        "no such file"
      rescue Errno::EACCES
        "permission denied"
      rescue SystemCallError => e
        e.class.new.message # Without the name of the call.
      end

      # Ruby's +load+ and +require+ report each file that they cannot open as missing.
      # @return [SystemCallError, nil] why the process can open no file; nil if it can
      def self.open_error(path)
        File.open(path, File::RDONLY | File::NONBLOCK).close
      rescue SystemCallError => e
        e
      end

      # @param error [Exception]
      # @param full_path [String] the config's
      # @return [String, nil] "file:line" of the innermost line of the config itself
      def self.location(error, full_path)
        prefix = "#{full_path}:".b
        line = error.backtrace&.map(&:b)&.find { |entry| entry.start_with?(prefix) }
        line && SafeInspect.place(line)
      end

      private_class_method :forget_real_paths, :check_readable, :unreadable, :open_error
    end
  end
end
