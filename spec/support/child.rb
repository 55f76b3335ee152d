# frozen_string_literal: true

# A process started by the specs. Its outputs go to files, so that they can be read at any moment. Signals go to its
# process id only, or to the process group created for it.
class Child
  include ResourceTracking

  attr_reader :pid, :dir

  def initialize(*command, dir: Dir.mktmpdir("proxymachine-spec"), stdout: File.join(dir, "stdout"), **options)
    @dir = dir
    @stdout = stdout
    @log_start = 0
    @pid = Process.spawn(*command, in: File::NULL, out: stdout, err: File.join(dir, "stderr"), pgroup: true, **options)
    @waiter = Process.detach(@pid)
    track
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

  def begin_example
    mark_log
  end

  # From here on, `recent_log` returns only new lines.
  def mark_log
    @log_start = log_file && File.exist?(log_file) ? File.size(log_file) : 0
  end

  # The log since the example began or since `mark_log`. The rest of the file is not read, because a loop that waits for
  # a line calls this often.
  def recent_log
    text_of(log_file, from: @log_start)
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

  # The process ids of the children of a process that its main thread has started, such as workers.
  def children(parent = pid)
    File.read("/proc/#{parent}/task/#{parent}/children").split.map(&:to_i)
  end

  # Waits for the process to end and returns its Process::Status.
  def wait(within: Eventually::DEADLINE)
    raise "process #{pid} still runs after #{within} s" unless @waiter.join(within)

    @waiter.value
  end

  def stop
    untrack
    kill
    @waiter.join(5)
    FileUtils.rm_rf(dir)
  end

  private

  def kill
    Process.kill(:KILL, -pid) if running?
  rescue Errno::ESRCH
    nil # It has just ended by itself.
  end

  def log_file
    @stdout
  end

  def text_of(path, from: 0)
    path && File.exist?(path) ? File.read(path, nil, from, encoding: Encoding::UTF_8).scrub : ""
  end
end
