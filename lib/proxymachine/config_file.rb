# frozen_string_literal: true

class ProxyMachine
  # A config is plain Ruby; loading it is all there is. What goes wrong is told with file and line.
  # @api private
  module ConfigFile
    # @param path [String] relative to the working directory
    # @raise [ConfigError] naming the file and, where there is one, the line
    def self.load(path)
      full_path = File.expand_path(path)
      check_readable(path, full_path)
      Kernel.load(full_path)
      return if ProxyMachine.draft.blocks.routing?

      raise ConfigError, "#{path} has no proxy block: add proxy { |data| ... }"
    rescue SyntaxError => e
      raise ConfigError, e.message.lines.first.chomp
    rescue Error, SystemExit, SignalException
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException -- whatever a config may raise
      raise ConfigError, "#{location(e, full_path) || path}: #{e.message.lines.first&.chomp} (#{e.class})"
    end

    # Loads it once more, as a draft. Its constants are assigned once more, too, which is nothing to warn of.
    # @return [Configuration]
    # @raise [ConfigError] as for #load
    def self.reload(path)
      verbose = $VERBOSE
      $VERBOSE = nil
      ProxyMachine.drafting { load(path) }
    ensure
      $VERBOSE = verbose
    end

    def self.check_readable(path, full_path)
      reason = if !File.exist?(full_path) then "no such file"
               elsif File.directory?(full_path) then "it is a directory"
               elsif !File.readable?(full_path) then "permission denied"
               end
      raise ConfigError, "cannot read config file #{path}: #{reason}" if reason
    end

    # "file:line" of the config's own line that led to the error.
    def self.location(error, full_path)
      line = error.backtrace&.find { |entry| entry.start_with?("#{full_path}:") }
      line && line[/\A.*?:\d+/]
    end

    private_class_method :check_readable, :location
  end
end
