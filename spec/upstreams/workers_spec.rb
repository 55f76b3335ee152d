# frozen_string_literal: true

# With `--workers`, one worker checks and lists, and all workers learn the results.
RSpec.describe "Upstreams with --workers:" do
  running(:a) { Backends.echo("a") }
  running(:b) { Backends.echo("b") }
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(dir) }

  # A proxy whose check asks a file whether a server is up, and notes who has asked.
  def start(options = ":check => 0.05, :rise => 1, :fall => 1")
    ProxyProcess.start(<<~RUBY, workers: 3)
      DIR = #{dir.inspect}
      upstream :db, #{a.address.inspect}, #{b.address.inspect}, #{options}
      upstream_check(:db) do |remote|
        File.write(File.join(DIR, "callers"), "\#{Process.pid}\\n", :mode => "a")
        eval(File.read(File.join(DIR, remote[/\\d+\\z/])))
      end
      proxy { |data| data == "who" ? { :close => Process.pid.to_s } : :db }
    RUBY
  end

  def say(answers)
    answers.each do |backend, ruby|
      File.write(File.join(dir, "new"), ruby)
      File.rename(File.join(dir, "new"), File.join(dir, backend.port.to_s))
    end
  end

  def callers
    File.readlines(File.join(dir, "callers"), chomp: true).uniq.map(&:to_i)
  end

  # The servers that the workers have chosen for many clients at once.
  def servers(proxy)
    clients = Array.new(45) { connect(proxy).write("x") }
    clients.map { |client| client.read(3)[0] }.uniq.sort.join
  ensure
    clients&.each(&:close)
  end

  # The workers that serve.
  def workers(proxy)
    Array.new(30) { ask("who", proxy).to_i }.uniq
  end

  it "one of them checks, and all learn the states and the weights" do
    say(a => "true", b => "false")
    proxy = start
    eventually { expect(servers(proxy)).to eq "a" }
    expect(callers.size).to eq 1
    say(a => "1", b => "0")
    sleep 0.3
    expect(servers(proxy)).to eq "a"
    say(a => "0", b => "1")
    eventually { expect(servers(proxy)).to eq "b" }
    say(a => "true", b => "true")
    eventually { expect(servers(proxy)).to eq "ab" }
    expect(callers.size).to eq 1
  end

  it "another one checks when that one dies, and a new worker knows the states" do
    say(a => "true", b => "false")
    proxy = start
    eventually { expect(servers(proxy)).to eq "a" }
    leader, = callers
    Process.kill(:KILL, leader)
    eventually { expect(callers.size).to eq 2 }
    eventually { expect(workers(proxy).size).to eq 3 }
    expect(callers.last).not_to eq leader
    expect(servers(proxy)).to eq "a"
    say(b => "true")
    eventually { expect(servers(proxy)).to eq "ab" }
  end

  it "a worker of the new set checks after HUP, and knows the states at once" do
    say(a => "true", b => "false")
    proxy = start(":check => 1, :rise => 1, :fall => 1")
    eventually { expect(servers(proxy)).to eq "a" }
    former = callers
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    expect(servers(proxy)).to eq "a"
    eventually { expect(callers - former).not_to be_empty }
    said = callers.size
    sleep 1.5
    expect(callers.size).to eq said
    proxy.signal(:TERM)
    expect(proxy.wait).to be_success
  end

  # The backend b listens at all addresses of the loopback, so that it can stand for many servers.
  it "a new worker knows the states of a thousand servers before it has a client" do
    many = Backends.echo("b", host: "0.0.0.0")
    down = Array.new(1000) { |index| "127.1.#{index / 250}.#{(index % 250) + 1}:#{many.port}" }
    proxy = ProxyProcess.start(<<~RUBY, workers: 2)
      upstream :db, #{down.inspect}, #{a.address.inspect}, :check => 3600, :check_timeout => 60, :rise => 1,
        :fall => 1
      upstream_check(:db) { |remote| remote == #{a.address.inspect} }
      proxy { :db }
    RUBY
    eventually { expect(proxy.lines.grep(/ is down: /).size).to eq 1000 }
    eventually { expect(servers(proxy)).to eq "a" }
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    expect(servers(proxy)).to eq "a"
  end

  it "a server is no longer down when a reload ends its checks" do
    say(a => "true", b => "false")
    config = lambda do |check|
      <<~RUBY
        upstream :db, #{a.address.inspect}, #{b.address.inspect}, :rise => 1, :fall => 1
        #{"upstream_check(:db) { |remote| remote == #{a.address.inspect} }" if check}
        proxy { :db }
      RUBY
    end
    proxy = ProxyProcess.start(config[true], workers: 2)
    proxy.await(/\AWARN Upstream db: .* is down/)
    eventually { expect(servers(proxy)).to eq "a" }
    File.write(proxy.config_path, config[false])
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    eventually { expect(servers(proxy)).to eq "ab" }
  end

  it "one of them makes native checks, too" do
    late = Backends.refusing { |session| session.write("late:#{session.read}") && session.drain }
    proxy = ProxyProcess.start(<<~RUBY, workers: 3)
      upstream :db, #{late.address.inspect}, #{a.address.inspect}, :check => 0.05, :balance => :ordered, :rise => 1
      proxy { :db }
    RUBY
    proxy.await("WARN Upstream db: #{late.address} is down: refused (Connection refused)")
    late.listen
    eventually { expect(servers(proxy)).to eq "l" }
    eventually { expect(proxy.lines.grep(/#{late.address} is (?:down|up)/).size).to eq 2 }
  end

  it "name the error of a config that cannot be loaded" do
    proxy = ProxyProcess.new("upstream :db, 'x'\nproxy { :db }", workers: 2)
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to match(/\Aproxymachine: .*upstream :db: invalid server "x": it has no port, expected/)
  end
end
