# frozen_string_literal: true

require_relative "daemon"

# A real `git daemon` that serves the repositories below a directory and accepts pushes.
class GitDaemon < Daemon
  def initialize(port, base)
    super([port], Git::ENVIRONMENT, "git", "daemon", "--listen=127.0.0.1", "--port=#{port}", "--base-path=#{base}",
          "--export-all", "--enable=receive-pack", "--reuseaddr", base)
  end
end
