# frozen_string_literal: true

require "open3"
require "shellwords"

# A program in a real terminal: tmux with its own server.
class Terminal
  include ResourceTracking

  def initialize(*command, width: 100, height: 30)
    @socket = File.join(@dir = Dir.mktmpdir("proxymachine-terminal"), "tmux")
    tmux("-f", File::NULL, "-u", "new-session", "-d", "-x", width.to_s, "-y", height.to_s, "sh")
    track
    # Typed into a shell, so that the shell can print the exit status.
    type("clear; #{Shellwords.join(command)}; echo \"ended with $?\"\n")
  end

  # The lines on the screen.
  def lines
    tmux("capture-pane", "-p").lines.map(&:chomp)
  end

  def text
    lines.join("\n")
  end

  def type(keys)
    tmux("send-keys", "-l", keys.chomp)
    tmux("send-keys", "Enter") if keys.end_with?("\n")
  end

  # Presses a key by its tmux name.
  def press(key)
    tmux("send-keys", key)
  end

  def resize(width, height)
    tmux("resize-window", "-x", width.to_s, "-y", height.to_s)
  end

  # The value of a tmux variable, such as alternate_on.
  def value(name)
    tmux("display-message", "-p", "\#{#{name}}").chomp
  end

  def stop
    untrack
    tmux("kill-server")
    FileUtils.rm_rf(@dir)
  end

  private

  def tmux(*arguments)
    output, status = Open3.capture2e("tmux", "-S", @socket, *arguments)
    skip_example("there is no terminal (#{output.chomp})") if !status.success? && arguments.include?("new-session")
    raise "tmux #{arguments.first}: #{output}" unless status.success?

    output.force_encoding(Encoding::UTF_8)
  rescue Errno::ENOENT => e
    skip_example("a terminal needs tmux (#{e.message})")
  end

  def skip_example(reason)
    RSpec::Core::Pending.mark_skipped!(RSpec.current_example, reason)
    raise RSpec::Core::Pending::SkipDeclaredInExample, reason
  end
end
