# frozen_string_literal: true

# sd_listen_fds(3) and sd_notify(3), with the specs in the role of systemd.
RSpec.describe "systemd:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:ear) { Socket.new(:UNIX, :DGRAM).tap { |socket| socket.bind(Addrinfo.unix(File.join(dir, "notify"))) } }

  after do
    ear.close
    FileUtils.rm_rf(dir)
  end

  def heard
    @heard ||= []
    loop { @heard.concat(ear.recv_nonblock(4096).lines(chomp: true)) }
  rescue IO::WaitReadable
    @heard
  end

  def start(config, env = {}, **options)
    ProxyProcess.start(config, env: { "NOTIFY_SOCKET" => ear.local_address.unix_path }.merge(env), **options)
  end

  def await(line)
    eventually { expect(heard).to include(match(line)) }
  end

  it "notifies of start, reload and end" do
    proxy = start("proxy { :noop }")
    await("READY=1")
    expect(heard).to include "MAINPID=#{proxy.pid}"
    heard.clear
    proxy.signal("HUP")
    await(/\ARELOADING=1\z/)
    await(/\AMONOTONIC_USEC=\d+\z/)
    await(/\AREADY=1\z/)
    connect(proxy).write("x")
    proxy.await(/noop/)
    proxy.signal("QUIT")
    await(/\ASTOPPING=1\z/)
  end

  it "notifies of the number of connections" do
    proxy = start("proxy { { :close => 'x' } }")
    ask("x", proxy)
    await(%r{\ASTATUS=\d/1/1 cur/max/tot connections\z})
  end

  it "notifies the watchdog in time" do
    proxy = start("proxy { { :close => 'x' } }", { "WATCHDOG_USEC" => "100000" })
    eventually { expect(heard.count("WATCHDOG=1")).to be > 3 }
    expect(ask("x", proxy)).to eq "x"
  end

  it "notifies of the new main process after an upgrade" do
    proxy = start("proxy { { :close => Process.pid.to_s } }")
    await("READY=1")
    heard.clear
    proxy.signal("USR2")
    pid = proxy.await(/INFO Upgraded: process \d+/)[/\d+/]
    await("MAINPID=#{pid}")
    expect(proxy.wait).to be_success
    expect(heard).not_to include "STOPPING=1"
    Process.kill(:KILL, pid.to_i)
  end

  it "notifies of the reason of a failed upgrade" do
    proxy = start("proxy { { :close => 'x' } }")
    reasons = { "raise 'not today'" => /Cannot upgrade: .*config\.rb:1: not today/,
                "exit!(7)" => /Cannot upgrade: the new process ended before it served\. This process goes on\./ }
    reasons.each do |config, line|
      File.write(proxy.config_path, config)
      proxy.signal("USR2")
      proxy.await(line)
      expect(ask("x", proxy)).to eq "x"
    end
  end

  it "notifies the watchdog after an upgrade" do
    proxy = start("proxy { :close }", { "WATCHDOG_USEC" => "100000" })
    await("WATCHDOG=1")
    proxy.signal("USR2")
    pid = proxy.await(/INFO Upgraded: process \d+/)[/\d+/]
    expect(proxy.wait).to be_success
    heard.clear
    eventually { expect(heard.count("WATCHDOG=1")).to be > 3 }
    Process.kill(:KILL, pid.to_i)
  end

  describe "socket activation" do
    let(:passed) { TCPServer.new("127.0.0.1", 0) }
    let(:port) { passed.local_address.ip_port }

    after { passed.close }

    # LISTEN_PID is the id of the process that calls exec, so that a shell sets it.
    def start_with_socket(config, args, names: "web")
      through = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=$0 exec "$@"', names]
      proxy = ProxyProcess.new(config, args: args, through: through, 3 => passed.fileno)
      proxy.await(/Listening on/)
      proxy
    end

    it "uses the passed sockets without a listen address, by their names" do
      start_with_socket("proxy(:web) { |data, client| { :close => client.listener.to_s } }", [])
      expect(Client.new(port).write("x").read_all).to eq "web"
    end

    it "selects sockets by name" do
      start_with_socket("listen 'systemd:web'\nproxy { { :close => 'named' } }", [])
      expect(Client.new(port).write("x").read_all).to eq "named"
    end

    it "selects a socket by the address of a listener" do
      start_with_socket("proxy { { :close => 'found' } }", ["-h", "127.0.0.1", "-p", port.to_s])
      expect(Client.new(port).write("x").read_all).to eq "found"
    end

    it "does not pass the sockets on to child processes of the config" do
      start_with_socket("SLEEPER = spawn('sleep', '60')\nproxy { { :close => SLEEPER.to_s } }", [])
      sleeper = Client.new(port).write("x").read_all
      open = Dir["/proc/#{sleeper}/fd/*"].map { |link| File.readlink(link) }
      expect(open).not_to include(File.readlink("/proc/self/fd/#{passed.fileno}"))
    end

    [1, 2].each do |workers|
      it "keeps a socket that a reload leaves out for the next, and for an upgrade, with --workers #{workers}" do
        web = "listen 'systemd:web'\n"
        other = "listen '127.0.0.1:0'\nproxy { { :close => 'served' } }"
        proxy = start_with_socket(web + other, ["--workers", workers.to_s])
        [other, web + other, other].each.with_index(1) do |config, count|
          File.write(proxy.config_path, config)
          proxy.signal("HUP")
          eventually { expect(proxy.lines.grep(/Reloaded/).size).to eq count }
          expect(Client.new(port).write("x").read_all).to eq "served" if config.start_with?(web)
        end
        File.write(proxy.config_path, web + other)
        proxy.signal("USR2")
        successor = proxy.await(/Upgraded/)[/process (\d+)/, 1].to_i
        expect(proxy.wait).to be_success
        expect(Client.new(port).write("x").read_all).to eq "served"
      ensure
        Process.kill(:KILL, successor) if successor
      end
    end

    it "serves connections that arrived before the start" do
      early = Client.new(port).write("x")
      start_with_socket("proxy { { :close => 'at last' } }", [])
      expect(early.read_all).to eq "at last"
    end

    it "reports an unknown socket name" do
      child = ProxyProcess.new("listen 'systemd:lost'\nproxy { :close }", args: [])
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match(/cannot listen on systemd:lost: systemd passed no socket of that name/)
    end
  end
end
