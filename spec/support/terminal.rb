# frozen_string_literal: true

require "open3"
require "shellwords"

# A program in a real terminal: tmux, with a server of its own.
class Terminal
  include Owned

  def initialize(*command, width: 100, height: 30)
    @socket = File.join(@dir = Dir.mktmpdir("proxymachine-terminal"), "tmux")
    tmux("-f", File::NULL, "-u", "new-session", "-d", "-x", width.to_s, "-y", height.to_s, "sh")
    own
    # Typed, so that the shell is there to tell how it ended.
    type("clear; #{Shellwords.join(command)}; echo \"ended with $?\"\n")
  end

  def mark; end

  # The lines that it shows now.
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

  # A key by its name in tmux.
  def press(key)
    tmux("send-keys", key)
  end

  def resize(width, height)
    tmux("resize-window", "-x", width.to_s, "-y", height.to_s)
  end

  # One of tmux' variables, such as alternate_on.
  def value(name)
    tmux("display-message", "-p", "\#{#{name}}").chomp
  end

  def stop
    disown
    tmux("kill-server")
    FileUtils.rm_rf(@dir)
  end

  private

  def tmux(*arguments)
    output, status = Open3.capture2e("tmux", "-S", @socket, *arguments)
    raise "tmux #{arguments.first}: #{output}" unless status.success?

    output.force_encoding(Encoding::UTF_8)
  end
end
