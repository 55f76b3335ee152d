# frozen_string_literal: true

# Examples with the tag `:process_title` read the title that a server has set. They are skipped where one process does
# not see the title of another one.
module ProcessTitles
  TITLE = "a title of its own"

  module_function

  # Returns the reason why titles cannot be read, or nil.
  def missing
    return @missing if defined?(@missing)

    @missing = ("the system does not show the titles of processes in /proc/PID/cmdline" unless visible?)
  end

  # Returns the title that ps shows; an empty text if the process has ended.
  def of(pid)
    File.read("/proc/#{pid}/cmdline").tr("\0", " ").strip
  rescue SystemCallError
    ""
  end

  def visible?
    IO.popen([RbConfig.ruby, "--disable=gems", "-e", "$0 = #{TITLE.inspect}; $stdout.syswrite(%(\n)); sleep"]) do |io|
      io.gets
      of(io.pid) == TITLE
    ensure
      Process.kill("KILL", io.pid)
    end
  end
end

RSpec.configure do |config|
  config.before(:example, :process_title) { skip ProcessTitles.missing if ProcessTitles.missing }
end
