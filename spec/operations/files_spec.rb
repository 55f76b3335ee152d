# frozen_string_literal: true

# The pidfile, and log files that are opened again at USR1.
RSpec.describe "A server" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:pidfile) { File.join(dir, "pid") }
  let(:arguments) { ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile] }

  after { FileUtils.rm_rf(dir) }

  it "has a pidfile while it serves" do
    proxy = ProxyProcess.start("proxy { :close }", args: arguments)
    expect(File.read(pidfile)).to eq "#{proxy.pid}\n"
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(File.exist?(pidfile)).to be false
  end

  it "leaves the pidfile of another process" do
    proxy = ProxyProcess.start("proxy { :close }", args: arguments)
    File.write(pidfile, "1\n")
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(File.read(pidfile)).to eq "1\n"
  end

  it "says that it cannot write the pidfile" do
    child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "--pidfile", "/no/such/directory/pid"])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(%r{\Aproxymachine: cannot write the pidfile /no/such/directory/pid: })
  end

  it "gives its pidfile to whom it becomes, who writes it after an upgrade" do
    skip "only root can become somebody else" unless Process.uid.zero?
    File.chmod(0o755, dir)
    proxy = ProxyProcess.start("proxy { :close }", args: [*arguments, "--user", "nobody"])
    expect(File.stat(pidfile).uid).to eq Etc.getpwnam("nobody").uid
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  it "opens its standard output again at USR1" do
    proxy = ProxyProcess.start("proxy { { :close => 'x' } }")
    log = File.join(proxy.dir, "stdout")
    File.rename(log, "#{log}.1")
    proxy.signal("USR1")
    eventually { expect(File.exist?(log)).to be true }
    proxy.mark
    ask("x", proxy)
    proxy.await(/close/)
    expect(File.read("#{log}.1")).not_to match(/close/)
  end

  it "opens the file of its LOGGER again at USR1" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE)\nproxy { { :close => 'x' } }", log: :file)
    log = File.join(proxy.dir, "log")
    File.rename(log, "#{log}.1")
    proxy.signal("USR1")
    eventually { expect(File.exist?(log)).to be true }
    proxy.mark
    ask("x", proxy)
    proxy.await(/close/)
    expect(File.read("#{log}.1")).not_to match(/close/)
  end
end
