# frozen_string_literal: true

# The pidfile, and log files that USR1 reopens.
RSpec.describe "Pidfile and log reopening:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:pidfile) { File.join(dir, "pid") }
  let(:arguments) { ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile] }

  after { FileUtils.rm_rf(dir) }

  it "the pidfile exists while the server runs" do
    proxy = ProxyProcess.start("proxy { :close }", args: arguments)
    expect(File.read(pidfile)).to eq "#{proxy.pid}\n"
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(File.exist?(pidfile)).to be false
  end

  it "the pidfile of another process is not removed" do
    proxy = ProxyProcess.start("proxy { :close }", args: arguments)
    File.write(pidfile, "1\n")
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(File.read(pidfile)).to eq "1\n"
  end

  it "an unwritable pidfile is an error at the start" do
    child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "--pidfile", "/no/such/directory/pid"])
    expect(child.wait.exitstatus).to eq 1
    reason = "No such file or directory - /no/such/directory/pid"
    expect(child.stderr).to eq "proxymachine: cannot write the pidfile /no/such/directory/pid: #{reason}\n"
  end

  it "the pidfile belongs to the user that the server switches to, and an upgrade can write it" do
    skip "only root can become somebody else" unless Process.uid.zero?
    File.chmod(0o755, dir)
    proxy = ProxyProcess.start("proxy { :close }", args: [*arguments, "--user", "nobody"])
    expect(File.stat(pidfile).uid).to eq Etc.getpwnam("nobody").uid
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  it "USR1 reopens the standard output" do
    proxy = ProxyProcess.start("proxy { { :close => 'x' } }")
    log = File.join(proxy.dir, "stdout")
    File.rename(log, "#{log}.1")
    proxy.signal("USR1")
    proxy.await("INFO Reopened the log files.")
    proxy.mark_log
    ask("x", proxy)
    proxy.await(/close/)
    expect(File.read("#{log}.1")).not_to match(/close/)
  end

  it "USR1 reopens the file of the LOGGER" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE)\nproxy { { :close => 'x' } }", log: :file)
    log = File.join(proxy.dir, "log")
    File.rename(log, "#{log}.1")
    proxy.signal("USR1")
    proxy.await("INFO Reopened the log files.")
    proxy.mark_log
    ask("x", proxy)
    proxy.await(/close/)
    expect(File.read("#{log}.1")).not_to match(/close/)
  end

  # A directory in its place: even root cannot open the file.
  def without(directory)
    FileUtils.mv(directory, "#{directory}.gone")
    yield "#{directory}.gone"
  ensure
    FileUtils.mv("#{directory}.gone", directory)
  end

  it "a standard output that cannot be reopened stays open, and is never a client's socket" do
    logs = FileUtils.mkdir(File.join(dir, "logs")).first
    proxy = ProxyProcess.start("proxy { { :close => 'x' } }", stdout: File.join(logs, "stdout"))
    without(logs) do |gone|
      proxy.signal("USR1")
      eventually { expect(File.read("#{gone}/stdout")).to match(/ERROR .* Cannot reopen the log files: No such file/) }
    end
    expect(ask("x", proxy)).to eq "x"
    expect(proxy.settled_log).to match(/close/)
  end

  it "a file that cannot be reopened does not prevent the others" do
    logs = FileUtils.mkdir(File.join(dir, "logs")).first
    access = File.join(dir, "access")
    proxy = ProxyProcess.start("access_log #{access.inspect}\nproxy { { :close => 'x' } }",
                               stdout: File.join(logs, "stdout"))
    File.rename(access, "#{access}.1")
    without(logs) do
      proxy.signal("USR1")
      eventually { expect(File.exist?(access)).to be true }
    end
  end

  it "a LOGGER whose file cannot be reopened keeps its file" do
    logs = FileUtils.mkdir(File.join(dir, "logs")).first
    log = File.join(logs, "log")
    proxy = ProxyProcess.new("LOGGER = Logger.new(#{log.inspect})\nproxy { { :close => 'x' } }", log: :none)
    eventually { File.exist?(log) && File.read(log).include?("Listening") }
    without(logs) do |gone|
      proxy.signal("USR1")
      eventually { expect(File.read("#{gone}/log")).to match(/ERROR .* Cannot reopen the log files: No such file/) }
    end
    File.rename(log, "#{log}.1")
    proxy.signal("USR1")
    eventually { File.exist?(log) && File.read(log).include?("Reopened the log files") }
  end

  it "USR1 during a drain reopens the log files" do
    proxy = ProxyProcess.start("proxy { :noop }")
    connect(proxy).write("x")
    proxy.await(/noop/)
    proxy.signal("QUIT")
    proxy.await(/Received QUIT/)
    proxy.signal("USR1")
    proxy.await("INFO Reopened the log files.")
  end

  it "a pidfile is not written through a symbolic link" do
    File.write(File.join(dir, "other"), "precious")
    File.symlink(File.join(dir, "other"), pidfile)
    child = ProxyProcess.new("proxy { :close }", args: arguments)
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: cannot write the pidfile /)
    expect(File.read(File.join(dir, "other"))).to eq "precious"
  end

  it "the access log belongs to the user that the server switches to, and an upgrade can open it" do
    skip "only root can become somebody else" unless Process.uid.zero?
    File.chmod(0o755, dir)
    access = File.join(dir, "access")
    proxy = ProxyProcess.start("access_log #{access.inspect}\nproxy { { :close => 'x' } }",
                               args: [*arguments, "--user", "nobody"])
    expect(File.stat(access).uid).to eq Etc.getpwnam("nobody").uid
    ask("x", proxy)
    eventually { expect(File.size(access)).to be_positive }
  end

  it "an access log behind a symbolic link keeps its owner" do
    skip "only root can become somebody else" unless Process.uid.zero?
    File.chmod(0o755, dir)
    File.write(File.join(dir, "other"), "")
    File.symlink(File.join(dir, "other"), File.join(dir, "access"))
    ProxyProcess.start("access_log #{File.join(dir, "access").inspect}\nproxy { :close }",
                       args: [*arguments, "--user", "nobody"])
    expect(File.stat(File.join(dir, "other")).uid).to eq 0
  end
end
