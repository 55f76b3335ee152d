# frozen_string_literal: true

require "net/http"

# USR2: the program is started once more and takes over, and nobody who is connected, or connects, notices.
RSpec.describe "A server that is told to upgrade" do
  let(:echo) { Backends.echo }
  let(:config) { "proxy { |data| data == 'relay' ? #{echo.address.inspect} : { :close => Process.pid.to_s } }" }
  let(:proxy) { ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile]) }
  let(:pidfile) { File.join(Dir.mktmpdir("proxymachine-spec"), "pid") }

  # Its successors are nobody's children.
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

  # The old one may still accept at the moment at which it says so.
  def is_served_by(pid)
    eventually { expect(ask("x")).to eq pid.to_s }
  end

  it "hands over to the new process, and ends when its last connection does" do
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

  it "goes on if the new one fails, and says why" do
    File.write(proxy.config_path, "raise 'not today'")
    proxy.signal("USR2")
    proxy.await(/ERROR Cannot upgrade: .*config\.rb:1: not today \(RuntimeError\)\. This process goes on\./)
    expect(ask("x")).to eq proxy.pid.to_s
    File.write(proxy.config_path, "exit 7\n#{config}")
    proxy.mark
    proxy.signal("USR2")
    proxy.await(/ERROR Cannot upgrade: the new process ended before it served \(pid \d+ exit 7\)/)
    expect(ask("x")).to eq proxy.pid.to_s
    File.write(proxy.config_path, config)
    proxy.mark
    is_served_by(upgrade)
  end

  it "counts on from where the old one was, and shows it though nobody connects" do
    3.times { ask("x") }
    title = "/proc/#{upgrade}/cmdline"
    expect(proxy.wait).to be_success
    eventually { expect(File.read(title)).to match(%r{ - 0/\d+/3 cur/max/tot conns}) }
    ask("x")
    eventually { expect(File.read(title)).to match(%r{ - 0/\d+/4 cur/max/tot conns}) }
  end

  it "goes on with the metrics, those of connections that the old one still had included" do
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

  it "cuts off what is left when upgrade_timeout is over" do
    File.write(proxy.config_path, "upgrade_timeout 0.1\n#{config}")
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    upgrade
    expect(client).to be_ended
    expect(proxy.wait.exitstatus).to eq 1
  end

  it "keeps the file of a Unix socket, which its last heir removes" do
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

  it "leaves the trap of the config alone" do
    own = ProxyProcess.start("trap('USR2') { warn 'my own' }\nproxy { { :close => 'here' } }")
    own.signal("USR2")
    eventually { own.stderr.include?("my own\n") }
    expect(ask("x", own)).to eq "here"
  end
end
