# frozen_string_literal: true

require "net/http"

# `--workers N`: N worker processes serve the same sockets, under a master process that serves no connection.
RSpec.describe "Workers:" do
  let(:echo) { Backends.echo }
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:pidfile) { File.join(dir, "pid") }
  let(:config) { <<~RUBY }
    proxy do |data|
      case data
      when "relay" then #{echo.address.inspect}
      when "die" then exit!(3)
      when "wait" then :noop
      else { :close => "first \#{Process.pid}" }
      end
    end
  RUBY
  let(:proxy) { start(config) }

  after do
    pid = File.read(pidfile).to_i
    Process.kill(:TERM, pid) if pid.positive? && pid != proxy.pid
  rescue SystemCallError
    nil
  ensure
    FileUtils.rm_rf(dir)
  end

  let(:arguments) { ["-h", "127.0.0.1", "-p", "0", "--workers", "2", "--pidfile", pidfile] }

  def start(config, admin: false)
    args = arguments + (admin ? %w[--admin 127.0.0.1:0] : [])
    ProxyProcess.new(config, args: args).tap do |started|
      port = started.await(/Serving with 2 workers/)[/Listening on [^,]*:(\d+)[.,]/, 1].to_i
      started.instance_variable_set(:@port, port)
    end
  end

  # The process ids of the workers.
  def workers(pid = proxy.pid)
    proxy.children(pid)
  end

  def worker_that_answers
    ask("x")[/\d+/].to_i
  end

  def reload(config, expected = /INFO Reloaded/)
    File.write(proxy.config_path, config)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(expected)
  end

  it "each worker serves connections" do
    eventually { expect([worker_that_answers, worker_that_answers].uniq.size).to eq 2 }
    expect(workers).to include(worker_that_answers)
  end

  it "a worker with nothing to do hardly wakes up" do
    proxy
    eventually { expect(workers.size).to eq 2 }
    before = workers.sum { |pid| wakeups(pid) }
    sleep 3
    expect(workers.sum { |pid| wakeups(pid) } - before).to be <= 12 # Two workers look for signals once a second.
  end

  def wakeups(pid)
    Dir["/proc/#{pid}/task/*/status"].sum do |file|
      File.read(file)[/^voluntary_ctxt_switches:\s+(\d+)/, 1].to_i
    rescue SystemCallError
      0 # The thread has ended.
    end
  end

  it "a dead worker is replaced, and only its connections are lost" do
    other = nil
    clients = Array.new(8) { connect.write("relay") }
    clients.each { |client| client.read(5) }
    expect(connect.write("die").read_all).to eq ""
    proxy.await(/ERROR Worker \d+ ended \(exit 3\)\. Another one takes its place\./)
    eventually { expect(workers.size).to eq 2 }
    alive = clients.reject { |client| client.socket.wait_readable(0) }
    alive.each { |client| expect(client.write("still there?").read(12)).to eq "still there?" }
    eventually { expect(other = worker_that_answers).to be_positive }
    expect(workers).to include(other)
  end

  it "each signal drains the workers and then ends the master" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    proxy.signal("QUIT")
    expect(client.write("still there?").read(12)).to eq "still there?"
    client.close
    expect(proxy.wait).to be_success
    expect(File.exist?(pidfile)).to be false
  end

  it "a connection closed by force makes the exit status 1" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    2.times do |number|
      proxy.signal("INT")
      proxy.await(/Received INT signal/) if number.zero?
    end
    expect(client).to be_ended
    expect(proxy.wait.exitstatus).to eq 1
  end

  it "a drain refuses clients at once, also on a Unix socket, while a connection lasts" do
    path = File.join(dir, "socket")
    proxy = start("listen 'unix:#{path}'\n#{config}", admin: true)
    client = Client.new(proxy.port).write("relay")
    expect(client.read(5)).to eq "relay"
    proxy.signal("QUIT")
    eventually { expect { Socket.tcp("127.0.0.1", proxy.port, &:close) }.to raise_error(Errno::ECONNREFUSED) }
    eventually { expect { UNIXSocket.open(path, &:close) }.to raise_error(Errno::ENOENT) }
    expect(proxy).to be_running
    client.close
    expect(proxy.wait).to be_success
  end

  it "HUP and USR2 during a drain are ignored" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    proxy.signal("QUIT")
    proxy.await(/Received QUIT/)
    { "HUP" => "reload", "USR2" => "upgrade" }.each do |signal, wish|
      proxy.signal(signal)
      proxy.await("WARN Cannot #{wish}: the server is ending.")
    end
    client.close
    expect(proxy.wait).to be_success
  end

  it "a reload starts new workers, and the old ones keep their connections" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    former = workers
    reload(config.sub("first", "second"))
    eventually { expect(ask("x")).to start_with("second") }
    expect(client.write("still there?").read(12)).to eq "still there?"
    client.close
    eventually { expect(workers & former).to be_empty }
    expect(workers.size).to eq 2
  end

  it "a reload opens and closes listeners" do
    path = File.join(dir, "socket")
    reload("listen 'unix:#{path}'\n#{config}")
    expect(UNIXSocket.open(path) { |socket| socket.write("x") && socket.read }).to start_with("first")
    reload(config)
    eventually { expect(File.exist?(path)).to be false }
  end

  {
    "raises" => ["raise 'oh'", /ERROR Cannot reload .*config\.rb:1: oh/],
    "exits" => ["exit 3", /ERROR Cannot reload .*exit/],
    "cannot be listened on" => ["listen '192.0.2.1:80'; proxy { :close }", /ERROR Cannot reload .*192\.0\.2\.1:80/]
  }.each do |what, (config, reason)|
    it "the old config stays if the new one #{what}" do
      before = workers
      reload(config, reason)
      eventually { expect(workers).to match_array(before) } # The child that has read the config may be a zombie yet.
      expect(ask("x")).to start_with("first")
    end
  end

  it "an exception message longer than a pipe does not block the reload" do
    reload("raise 'a' * 100_000", /ERROR Cannot reload .*aaa/)
    expect(ask("x")).to start_with("first")
  end

  it "workers that cannot start with the config are reported with the reason" do
    File.write(proxy.config_path, "raise 'oh'")
    expect(connect.write("die").read_all).to eq ""
    proxy.await(/ERROR Worker \d+ ended \(exit 1: .*config\.rb:1: oh .*\)\. Another one takes its place\./)
    expect(ask("x")).to start_with("first")
    File.write(proxy.config_path, config)
    eventually { expect(Array.new(8) { worker_that_answers }.uniq).to match_array workers }
  end

  it "the file of a Unix socket that a new worker's config lacks stays" do
    path = File.join(dir, "socket")
    old = workers
    reload("listen 'unix:#{path}'\n#{config}")
    eventually { expect(workers & old).to be_empty } # One that still accepts would not be replaced.
    File.write(proxy.config_path, config)
    former = workers
    expect(connect.write("die").read_all).to eq ""
    eventually { expect((workers - former).size).to eq 1 }
    eventually { expect(Array.new(8) { worker_that_answers }.uniq).to match_array workers }
    expect(UnixClient.new(path).write("x").read_all).to start_with("first")
  end

  it "a failing fork leaves the server running" do
    limit = ->(count) { system("prlimit", "--pid", proxy.pid.to_s, "--nofile=#{count}:", exception: true) }
    dead = workers
    limit.call(8)
    reload(config.sub("first", "second"), /ERROR Cannot reload .*Too many open files/)
    expect(ask("x")).to start_with("first")
    expect(connect.write("die").read_all).to eq ""
    proxy.await(/ERROR cannot start a worker: Too many open files/)
    expect(ask("x")).to start_with("first")
    limit.call(1024)
    eventually { expect((workers - dead).size).to eq 1 }
    reload(config.sub("first", "third"))
    eventually { expect(ask("x")).to start_with("third") }
  end

  it "a new admin address in a reload is reported as ignored" do
    reload("admin 1\n#{config}", /WARN admin stays none: 127\.0\.0\.1:1 takes a restart or an upgrade \(USR2\)\./)
    proxy.await(/INFO Reloaded/)
  end

  it "an invalid config is an error at the start" do
    child = ProxyProcess.new("raise 'oh'", args: ["-h", "127.0.0.1", "-p", "0", "--workers", "2"])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: .*config\.rb:1: oh \(RuntimeError\)$/)
  end

  it "USR2 upgrades master and workers" do
    reload(config.sub("first", "second"))
    proxy.signal("USR2")
    pid = proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i
    expect(proxy.wait).to be_success
    eventually { expect(workers(pid)).to include(worker_that_answers) }
    expect(File.read(pidfile).to_i).to eq pid
  end

  it "the new process stops listening for both while the old one has a connection" do
    client = Client.new(proxy.port).write("relay")
    expect(client.read(5)).to eq "relay"
    proxy.signal("USR2")
    Process.kill(:QUIT, proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i)
    eventually { expect { Socket.tcp("127.0.0.1", proxy.port, &:close) }.to raise_error(Errno::ECONNREFUSED) }
    expect(proxy).to be_running
    client.close
    expect(proxy.wait).to be_success
  end

  it "at_exit blocks of the config run in each worker, and in no other process" do
    proxy = start("at_exit { puts \"at_exit in \#{Process.pid}\" }\n#{config}")
    children = workers(proxy.pid)
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    ran = proxy.stdout.scan(/^at_exit in (\d+)$/).flatten.map(&:to_i)
    expect([ran.size, ran.uniq.size, ran - children]).to eq [2, 2, []]
  end

  it "the workers end when the master is killed" do
    orphans = workers
    Process.kill(:KILL, proxy.pid)
    eventually { expect(orphans.select { |pid| File.exist?("/proc/#{pid}") }).to be_empty }
  end

  it "a starting worker ends when the master is killed" do
    gate, seen = %w[gate seen].map { |name| File.join(dir, name) }
    # The first process to load the config is the probe, which only reads its settings.
    waiting = <<~RUBY
      if File.exist?(#{seen.inspect})
        File.write(#{seen.inspect} + $$.to_s, "")
        sleep 0.01 until File.exist?(#{gate.inspect})
      end
      File.write(#{seen.inspect}, "")
    RUBY
    cluster = ProxyProcess.new("#{waiting}#{config}", args: arguments - ["--pidfile", pidfile])
    starting = eventually { Dir["#{seen}?*"].map { |file| file.delete_prefix(seen).to_i }.then { |all| all if all[1] } }
    Process.kill(:KILL, cluster.pid)
    File.write(gate, "")
    eventually { expect(starting.select { |pid| File.exist?("/proc/#{pid}") }).to be_empty }
  end

  it "a signal of the terminal to the whole group counts once" do
    client = connect.write("relay")
    expect(client.read(5)).to eq "relay"
    Process.kill(:INT, -Process.getpgid(proxy.pid)) # as Ctrl-C does
    proxy.await(/Received INT signal/)
    expect(client.write("still there?").read(12)).to eq "still there?"
    client.close
    expect(proxy.wait).to be_success
  end

  it "a process that the config starts does not delay the probe" do
    reload("spawn('sleep', '30', %i[out err] => File::NULL)\n#{config.sub("first", "second")}")
    eventually { expect(ask("x")).to start_with("second") }
  end

  describe "admin address:" do
    let(:arguments) { ["-h", "127.0.0.1", "-p", "0", "--workers", "2", "--pidfile", pidfile, "--admin", "127.0.0.1:0"] }
    let(:admin) { proxy.await(/Metrics and status on/)[%r{http://\S+}] }

    def accepted
      Net::HTTP.get(URI("#{admin}metrics"))[/^proxymachine_connections_accepted_total (\d+)$/, 1].to_i
    end

    it "the metrics are the sum over all workers, also after a replacement" do
      8.times { ask("x") }
      eventually { expect(accepted).to eq 8 }
      reload(config)
      eventually { expect(workers.size).to eq 3 } # the third is the admin process
      ask("x")
      eventually { expect(accepted).to eq 10 } # one connection is from ProxyProcess#mark_log
    end

    it "the metrics continue after an upgrade, including the old process" do
      client = connect.write("relay")
      expect(client.read(5)).to eq "relay"
      6.times { ask("x") }
      eventually { expect(accepted).to eq 7 }
      proxy.signal("USR2")
      pid = proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i
      eventually { expect(accepted).to eq 7 }
      # The old process still has connections, but its admin address is closed.
      eventually do
        status = JSON.parse(Net::HTTP.get(URI("#{admin}status.json")))
        expect(workers(pid)).to include status["program"]["pid"]
        expect(status["state"]).to eq "running"
      end
      expect(client.write(" on").read(3)).to eq " on"
      client.close
      expect(proxy.wait).to be_success
      eventually do
        expect(Net::HTTP.get(URI("#{admin}metrics"))[/^proxymachine_sent_bytes_total\{.*\} (\d+)$/, 1].to_i).to be >= 8
      end
      expect(accepted).to eq 7
    end

    it "the counts of a worker that has ended regularly are kept" do
      expect(accepted).to eq 0
      client = connect.write("relay")
      expect(client.read(5)).to eq "relay"
      reload(config)
      client.write(" and more").read(9)
      client.close
      eventually do
        expect(Net::HTTP.get(URI("#{admin}metrics"))[/^proxymachine_sent_bytes_total\{.*\} (\d+)$/, 1].to_i).to eq 14
      end
    end

    it "a dead admin process is replaced" do
      pid = workers.find { |child| serves_admin?(child) }
      expect(Net::HTTP.get(URI("#{admin}readyz"))).to match(/running/)
      Process.kill(:KILL, pid)
      eventually { expect(workers - [pid]).to include(satisfy { |child| serves_admin?(child) }) }
      eventually { expect(accepted).to eq 0 }
    end

    def serves_admin?(child)
      File.read("/proc/#{child}/cmdline").include?("- admin")
    rescue SystemCallError
      false # It has just ended.
    end
  end
end
