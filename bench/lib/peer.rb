# frozen_string_literal: true

require "fileutils"

module Bench
  # A proxy to measure: how to start it, and the reason why it may be missing.
  class Peer
    # The setting of a peer: the config by its name in configs/, with or without a log, the backend, and the ports of
    # the proxy: the clients', and that of the load beside them.
    Setting = Struct.new(:config, :log, :backend, :port, :side_port, :directory, keyword_init: true) do
      def file(name, text)
        path = File.join(directory, "#{port}-#{name}")
        File.write(path, text)
        path
      end
    end

    class << self
      def all
        @all ||= {}
      end

      def register(name, peer)
        all[name] = peer
      end

      # Looks in the PATH and in the system's folders, which may be missing in a user's PATH.
      def executable(name)
        folders = ENV.fetch("PATH", "").split(":") + %w[/usr/sbin /sbin]
        folders.map { |folder| File.join(folder, name) }.find { |path| File.executable?(path) }
      end

      def version(*command, pattern)
        IO.popen(command, err: %i[child out], &:read)[pattern, 1]
      rescue SystemCallError
        nil
      end
    end

    # Returns the reason why the peer cannot run here, or nil.
    def missing; end

    def version; end

    # Whether the peer has an equivalent of the config.
    def supports?(_config)
      true
    end

    # Returns the command and its environment.
    def command(setting)
      raise NotImplementedError
    end

    # Returns an object with #pid and #stop.
    def start(setting, prefix)
      words, env = command(setting)
      log = File.join(setting.directory, "#{setting.port}.log")
      child = Child.new([*prefix, *words], env: env || {}, log: log)
      child.ready(setting.port)
    rescue StandardError
      child&.stop
      raise
    end
  end
end

%w[ours original haproxy nginx bare direct ruby].each { |name| require_relative "peers/#{name}" }
