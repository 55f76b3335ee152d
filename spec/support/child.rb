# frozen_string_literal: true

# A process started by the specs. Its outputs go to files, so that what it has written can be read at any moment; it is
# only ever signalled by its own id, or by that of the process group made for it.
class Child
  include Owned

  attr_reader :pid, :dir

  def initialize(*command, dir: Dir.mktmpdir("proxymachine-spec"), stdout: File.join(dir, "stdout"), **options)
    @dir = dir
    @stdout = stdout
    @mark = 0
    @pid = Process.spawn(*command, in: File::NULL, out: stdout, err: File.join(dir, "stderr"), pgroup: true, **options)
    @waiter = Process.detach(@pid)
    own
  end

  def stdout
    text_of(@stdout)
  end

  def stderr
    text_of(File.join(dir, "stderr"))
  end

  # The standard output, unless a config sends the log elsewhere.
  def log
    text_of(log_file)
  end

  def mark
    @mark = log_file && File.exist?(log_file) ? File.size(log_file) : 0
  end

  # What was logged since the running example began. Only that is read, since whoever waits for a line asks very often.
  def recent_log
    text_of(log_file, from: @mark)
  end

  def report
    "--- #{self.class} #{pid}, its log since the example began:\n#{recent_log}--- its stderr:\n#{stderr}"
  end

  def signal(name)
    Process.kill(name, pid)
  end

  def running?
    @waiter.alive?
  end

  # The Process::Status, once it has ended.
  def wait(within: Eventually::DEADLINE)
    raise "process #{pid} still runs after #{within} s" unless @waiter.join(within)

    @waiter.value
  end

  def stop
    disown
    Process.kill(:KILL, -pid) if running?
    @waiter.join(5)
    FileUtils.rm_rf(dir)
  end

  private

  def log_file
    @stdout
  end

  def text_of(path, from: 0)
    path && File.exist?(path) ? File.read(path, nil, from, encoding: Encoding::UTF_8).scrub : ""
  end
end
