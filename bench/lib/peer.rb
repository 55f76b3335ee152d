# frozen_string_literal: true

require "fileutils"

module Bench
  # A proxy that can be measured: how to start it, and why it may be missing.
  class Peer
    # What a peer is asked to be: the routing config (by name, see configs/), with its log or without, for this backend.
    Setting = Struct.new(:config, :log, :backend, :port, :directory, keyword_init: true) do
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

      # Looked up on the PATH and in the system's own folders, which are not on everybody's.
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

    # Why it cannot run here; nil when it can.
    def missing; end

    def version; end

    # Whether it can be what the config of this name is.
    def plays?(_config)
      true
    end

    # The command, and its environment.
    def command(setting)
      raise NotImplementedError
    end

    # Something that has #pid and #stop.
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
