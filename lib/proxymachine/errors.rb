# frozen_string_literal: true

class ProxyMachine
  # What keeps ProxyMachine from starting. Trouble of one connection is never an exception: it is a
  # log line.
  class Error < StandardError; end

  # The config cannot be used: unreadable, not Ruby, it raised, or it has no +proxy+ block.
  class ConfigError < Error; end

  # The command line cannot be understood. The executable exits with status 2.
  class UsageError < Error; end

  # The engine could not start: port in use, unknown host, no descriptors.
  class StartError < Error; end

  # The native extension is not there.
  class ExtensionError < Error; end

  # A block forked and the child came back into the server, where the engine's threads do not exist.
  class ForkError < Error; end
end
