# frozen_string_literal: true

require "net/http"

# USR2 starts the program again; the new process takes over without effect on established and new connections.
RSpec.describe "Upgrade:" do
  let(:echo) { Backends.echo }
  let(:config) { "proxy { |data| data == 'relay' ? #{echo.address.inspect} : { :close => Process.pid.to_s } }" }
  let(:proxy) { ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile]) }
  let(:pidfile) { File.join(Dir.mktmpdir("proxymachine-spec"), "pid") }

  # The new processes are not children of this one.
  after do
    pid = File.read(pidfile).to_i
    Process.kill(:KILL, pid) if pid.positive? && pid != proxy.pid
  rescue SystemCallError
    nil
  ensure
    FileUtils.rm_rf(File.dirname(pidfile))
  end

  def upgrade
    proxy.signal("USR2")
    proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i
  end

  # The old process may still accept at the moment of its log line.
  def is_served_by(pid)
    eventually { expect(ask("x")).to eq pid.to_s }
  end

  it "the new process takes over, and the old one ends with its last connection" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    pid = upgrade
    is_served_by(pid)
    expect(File.read(pidfile)).to eq "#{pid}\n"
    expect(client.write("still there?").read(12)).to eq "still there?"
    client.close
    expect(proxy.wait).to be_success
    expect(ask("x")).to eq pid.to_s
    expect(File.read(pidfile)).to eq "#{pid}\n"
  end

  it "a new process that fails leaves the old one running, with the reason in the log" do
    File.write(proxy.config_path, "raise 'not today'")
    proxy.signal("USR2")
    proxy.await(/ERROR Cannot upgrade: .*config\.rb:1: not today \(RuntimeError\)\. This process goes on\./)
    expect(ask("x")).to eq proxy.pid.to_s
    File.write(proxy.config_path, "exit 7\n#{config}")
    proxy.mark_log
    proxy.signal("USR2")
    proxy.await(/ERROR Cannot upgrade: .*config\.rb ends the program while it is loaded \(exit 7\)/)
    expect(ask("x")).to eq proxy.pid.to_s
    File.write(proxy.config_path, config)
    proxy.mark_log
    is_served_by(upgrade)
  end

  it "the connection count continues, in the process title at once" do
    3.times { ask("x") }
    title = "/proc/#{upgrade}/cmdline"
    expect(proxy.wait).to be_success
    eventually { expect(File.read(title)).to match(%r{ - 0/\d+/3 cur/max/tot conns}) }
    ask("x")
    eventually { expect(File.read(title)).to match(%r{ - 0/\d+/4 cur/max/tot conns}) }
  end

  it "the metrics continue, including the remaining connections of the old process" do
    arguments = ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile, "--admin", "127.0.0.1:0"]
    proxy = ProxyProcess.start(config, args: arguments)
    metrics = URI("#{proxy.await(/Metrics and status on/)[%r{http://\S+}]}metrics")
    bytes = -> { Net::HTTP.get(metrics)[/^proxymachine_sent_bytes_total\{.*\} (\d+)$/, 1].to_i }
    client = connect(proxy).write("relay")
    expect(client.read(5)).to eq "relay"
    proxy.signal("USR2")
    proxy.await(/INFO Upgraded/)
    eventually { expect(bytes.call).to eq 5 }
    expect(client.write(" on").read(3)).to eq " on"
    client.close
    expect(proxy.wait).to be_success
    eventually { expect(bytes.call).to eq 8 }
  end

  it "upgrade_timeout closes the remaining connections of the old process" do
    File.write(proxy.config_path, "upgrade_timeout 0.1\n#{config}")
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    upgrade
    expect(client).to be_ended
    expect(proxy.wait.exitstatus).to eq 1
  end

  it "the file of a Unix socket stays until the last process ends" do
    path = File.join(proxy.dir, "socket")
    File.write(proxy.config_path, "listen 'unix:#{path}'\n#{config}")
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    pid = upgrade
    expect(proxy.wait).to be_success
    expect(UNIXSocket.open(path) { |socket| socket.write("x") && socket.read }).to eq pid.to_s
    Process.kill(:QUIT, pid)
    eventually { expect(File.exist?(path)).to be false }
  end

  it "a USR2 trap of the config stays" do
    own = ProxyProcess.start("trap('USR2') { warn 'my own' }\nproxy { { :close => 'here' } }")
    own.signal("USR2")
    eventually { own.stderr.include?("my own\n") }
    expect(ask("x", own)).to eq "here"
  end
end
