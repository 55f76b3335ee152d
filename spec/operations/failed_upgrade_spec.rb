# frozen_string_literal: true

# An upgrade that fails, or that the server's end interrupts.
RSpec.describe "Failed upgrade:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:pidfile) { File.join(dir, "pid") }
  let(:socket) { File.join(dir, "socket") }
  let(:admin) { File.join(dir, "admin") }
  let(:config) { <<~RUBY }
    listen 'unix:#{socket}'
    admin 'unix:#{admin}'
    proxy { |data| data == "relay" ? #{Backends.echo.address.inspect} : { :close => 'served' } }
  RUBY

  # A process that has taken over unexpectedly is not a child of this one.
  after do
    (processes - [proxy.pid]).each { |pid| Process.kill(:KILL, pid) }
  rescue Errno::ESRCH
    nil # the process has just ended
  ensure
    FileUtils.rm_rf(dir)
  end

  # The processes with this config: the server, its workers, and the new process.
  def processes
    Dir["/proc/[0-9]*/environ"].filter_map do |path|
      path[/\d+/].to_i if File.read(path).include?("SPEC_OF=#{dir}\0")
    rescue SystemCallError
      nil # the process has ended meanwhile, or belongs to another user
    end
  end

  def parent(pid)
    File.read("/proc/#{pid}/stat")[/.*\) \S (\d+)/, 1].to_i
  rescue SystemCallError
    nil # the process has ended since the directory was read
  end

  def answer
    UnixClient.new(socket).write("x").read_all
  end

  # As of a client that is silent at first.
  def late_answer
    client = UnixClient.new(socket)
    sleep 0.1
    client.write("x").read_all
  end

  def upgrade(config, expected)
    File.write(proxy.config_path, config)
    proxy.signal("USR2")
    proxy.await(expected)
  end

  [1, 2].each do |workers|
    describe "with #{workers} serving process#{"es" if workers > 1}," do
      let(:proxy) do
        arguments = ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile, "--workers", workers.to_s]
        server = ProxyProcess.new(config, args: arguments, env: { "SPEC_OF" => dir })
        server.tap { server.await(/Metrics and status on/) }
      end

      it "a listener that cannot be bound: the files of Unix sockets stay" do
        TCPServer.open("127.0.0.1", 0) do |taken|
          port = taken.local_address.ip_port
          upgrade("listen '127.0.0.1:#{port}'\n#{config}", /ERROR Cannot upgrade: .*127\.0\.0\.1:#{port}/)
        end
        expect(answer).to eq "served"
        expect(File.exist?(admin)).to be true
      end

      it "a config that fails late: the files of Unix sockets stay" do
        late = "unless ProxyMachine.runner.instance_of?(ProxyMachine::Lifecycle::Runner)"
        upgrade("#{config}raise 'not today' #{late}", /ERROR Cannot upgrade: .*not today/)
        expect(answer).to eq "served"
        expect(File.exist?(admin)).to be true
      end

      it "a signal to the server ends the new process, too" do
        proxy
        client = UnixClient.new(socket).write("relay")
        gate, seen = %w[gate seen].map { |name| File.join(dir, name) }
        waiting = "File.write(#{seen.inspect}, $$.to_s)\nsleep 0.01 until File.exist?(#{gate.inspect})\n"
        File.write(proxy.config_path, "#{waiting}#{config}")
        eventually { expect(client.read(5)).to eq "relay" }
        proxy.signal("USR2")
        eventually { File.exist?(seen) }
        proxy.signal("QUIT")
        proxy.await(/WARN Cannot upgrade: the server is ending\./)
        expect(client.write("still there?").read(12)).to eq "still there?"
        client.close
        expect(proxy.wait).to be_success
        File.write(gate, "")
        eventually { expect(processes).to eq [] }
        expect([socket, admin].select { |path| File.exist?(path) }).to eq []
      end

      it "the death of the server ends the new process" do
        proxy
        gate, seen = %w[gate seen].map { |name| File.join(dir, name) }
        waiting = "File.write(#{seen.inspect}, $$.to_s)\nsleep 0.01 until File.exist?(#{gate.inspect})\n"
        File.write(proxy.config_path, "#{waiting}#{config}")
        proxy.signal("USR2")
        eventually { File.exist?(seen) }
        proxy.signal("KILL")
        proxy.wait
        File.write(gate, "")
        eventually { expect(processes).to eq [] }
      end

      it "an unwritable pidfile is reported by the new process" do
        proxy
        client = UnixClient.new(socket).write("relay")
        expect(client.read(5)).to eq "relay"
        File.delete(pidfile)
        Dir.mkdir(pidfile)
        proxy.signal("USR2")
        proxy.await(/ERROR Cannot upgrade: cannot write the pidfile .*This process goes on\./)
        expect(client.write("still there?").read(12)).to eq "still there?"
        expect(answer).to eq "served"
        eventually { expect(processes).to all(satisfy { |pid| [pid, parent(pid)].include?(proxy.pid) }) }
      end

      it "an unwritable pidfile: clients notice nothing, although the new process has accepted some" do
        proxy
        File.delete(pidfile)
        Dir.mkdir(pidfile)
        # The engine runs for a while before the process says so.
        slow = "ProxyMachine.runner.class.prepend(Module.new { def serving = sleep(0.3).then { super() } })\n"
        File.write(proxy.config_path, slow + config)
        has_failed = false
        clients = Array.new(16) do
          Thread.new do
            answers = []
            answers << late_answer until has_failed
            answers
          end
        end
        proxy.signal("USR2")
        proxy.await(/ERROR Cannot upgrade: cannot write the pidfile/)
        sleep 0.2
        has_failed = true
        expect(clients.flat_map(&:value).uniq).to eq ["served"]
        expect(proxy.lines.grep(/Accepted/).size).to be > 16
      ensure
        has_failed = true
      end

      it "the file of a listener that the new config lacks is removed" do
        proxy.signal("USR2") if File.write(proxy.config_path, "proxy { { :close => 'without' } }")
        expect(proxy.wait).to be_success
        eventually { expect([socket, admin].select { |path| File.exist?(path) }).to eq [] }
      end
    end
  end
end
