# frozen_string_literal: true

# `upstream_check` decides in Ruby which servers of an upstream are up.
RSpec.describe "upstream_check:" do
  running(:a) { Backends.once("a") }
  running(:b) { Backends.once("b") }
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(dir) }

  # A proxy whose check evaluates the file of a server, which is named after the server's port. `say` writes it.
  def start(options = ":check => 0.02, :rise => 1, :fall => 1", more = "", **arguments)
    ProxyProcess.start(<<~RUBY, **arguments)
      DIR = #{dir.inspect}
      upstream :db, #{a.address.inspect}, #{b.address.inspect}, #{options}
      upstream_check(:db) { |remote| eval(File.read(File.join(DIR, remote[/\\d+\\z/]))) }
      proxy { :db }
      #{more}
    RUBY
  end

  def say(answers)
    answers.each do |backend, ruby|
      File.write(File.join(dir, "new"), ruby)
      File.rename(File.join(dir, "new"), file(backend))
    end
  end

  def file(backend)
    File.join(dir, backend.port.to_s)
  end

  def down(backend, reason)
    "WARN Upstream db: #{backend.address} is down: #{reason}"
  end

  def up(backend)
    "INFO Upstream db: #{backend.address} is up"
  end

  # The names of the servers that answer the next clients.
  def servers(proxy, clients = 12)
    Array.new(clients) { ask("x", proxy)[0] }.uniq.sort.join
  end

  it "sends new connections to the servers that it says are up" do
    say(a => "true", b => "false")
    proxy = start
    proxy.await(down(b, "its check said false"))
    expect(servers(proxy)).to eq "a"
    say(a => "nil", b => "true")
    proxy.await(up(b))
    proxy.await(down(a, "its check said nil"))
    expect(servers(proxy)).to eq "b"
    say(a => "true")
    proxy.await(up(a))
    expect(servers(proxy, 100)).to eq "ab"
  end

  it "counts the first check at once, and :rise and :fall after it" do
    say(a => "true", b => "false")
    proxy = start(":check => 0.2, :rise => 2, :fall => 2")
    proxy.await(down(b, "its check said false"))
    say(b => "LOGGER.info('called'); true")
    proxy.await(up(b))
    expect(proxy.lines.take_while { |line| line != up(b) }.count("INFO called")).to eq 2
  end

  it "takes an Integer for a weight" do
    say(a => "0", b => "1")
    proxy = start
    eventually { expect(servers(proxy, 30)).to eq "b" }
    say(a => "50_000")
    eventually { expect(servers(proxy, 30)).to eq "a" }
    expect(proxy.errors).to be_empty
  end

  it "takes whatever ends it for down, and nothing else is disturbed" do
    ends = { 'raise "boom"' => "RuntimeError - boom", "exit" => "SystemExit - exit",
             "throw :x" => "UncaughtThrowError - uncaught throw :x", "Thread.exit" => "it ended its thread",
             "raise Interrupt" => "Interrupt - Interrupt", "1/0" => "ZeroDivisionError - ",
             "def x = x; x" => "SystemStackError - ", "nil" => "its check said nil" }
    say(a => "true", b => "true")
    proxy = start
    ends.each do |ruby, reason|
      proxy.mark_log
      say(b => ruby)
      proxy.await(/\A#{Regexp.escape(down(b, ""))}#{Regexp.escape(reason)}/)
      expect(servers(proxy)).to eq "a"
      say(b => "true")
      proxy.await(up(b))
    end
    expect(proxy.errors).to be_empty
    expect(proxy.stderr).to eq ""
    proxy.signal(:TERM)
    expect(proxy.wait).to be_success
  end

  it "ends a child that a check has forked, and goes on" do
    say(a => "true", b => "fork { exit }; true")
    proxy = start
    expect(servers(proxy, 50)).to eq "ab"
    say(b => "fork ? false : true") # without a block, both processes return
    proxy.await(down(b, "its check said false"))
    say(b => "true")
    proxy.await(up(b))
    expect(servers(proxy, 50)).to eq "ab"
    eventually { expect(children(proxy)).to all eq "Z" } # Their parent is the config, which does not wait for them.
    expect(proxy.errors).to be_empty
  end

  # The states of a process's children.
  def children(proxy)
    Dir.glob("/proc/[0-9]*/stat").filter_map do |stat|
      state, parent = File.read(stat)[/\) (.*)/, 1].split
      state if parent.to_i == proxy.pid
    rescue SystemCallError
      nil
    end
  end

  it "takes a check that hangs for down when :check_timeout is over; it holds up nothing" do
    say(a => "true", b => "sleep")
    proxy = start(":check => 0.05, :check_timeout => 0.2, :rise => 1, :fall => 1")
    proxy.await(down(b, "its check has not answered within 0.2 s"))
    eventually { expect(servers(proxy)).to eq "a" }
    say(b => "true")
    proxy.await(up(b))
    say(a => "loop {}", b => "true") # holds the GVL
    proxy.await(down(a, "its check has not answered within 0.2 s"))
    eventually { expect(servers(proxy)).to eq "b" } # Its own check needs the GVL, too.
  end

  it "that cannot be ended does not hold up the end of the server" do
    say(a => "true", b => "begin; sleep; ensure; loop { sleep }; end")
    proxy = start(":check => 0.05, :check_timeout => 0.1, :rise => 1, :fall => 1")
    proxy.await(down(b, "its check has not answered within 0.1 s"))
    proxy.signal(:TERM)
    expect(proxy.wait(within: 10)).to be_success
  end

  it "calls blocks of every kind" do
    proxy = ProxyProcess.start(<<~RUBY)
      class Probe
        def up?(remote) = remote.frozen? ? raise("frozen") : true
        def call(remote) = remote.end_with?("#{b.port}")
      end
      upstream :one, #{a.address.inspect}
      upstream :two, #{b.address.inspect}
      upstream_check(:one, &Probe.new.method(:up?))
      upstream_check "two" do |remote, nothing|
        return nothing.nil?
      end
      proxy { |data| data == "1" ? :one : { :remote => :two } }
    RUBY
    expect([ask("1", proxy), ask("2", proxy)]).to eq ["a:1", "b:2"]
    expect(proxy.settled_log).not_to match(/down/)
  end

  it "is read again by HUP; the state survives" do
    say(a => "true", b => "false")
    proxy = start
    proxy.await(down(b, "its check said false"))
    config = File.read(proxy.config_path)
    File.write(proxy.config_path, config.sub("eval(", "puts(\"new check\") || eval("))
    proxy.mark_log
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    eventually { expect(proxy.recent_log).to include "new check" }
    expect(servers(proxy)).to eq "a"
    expect(proxy.lines.grep(/Upstream/)).to be_empty
    File.write(proxy.config_path, config.sub(/^upstream_check.*/, ""))
    proxy.mark_log
    proxy.signal(:HUP)
    proxy.await(/\AINFO Reloaded /)
    expect(servers(proxy, 100)).to eq "ab"
    proxy.mark_log
    sleep 0.1 # Several checks, had there been any.
    expect(proxy.recent_log).not_to include "new check"
  end

  it "leaves no thread when run has returned" do
    say(a => "sleep", b => "true")
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      before = Thread.list
      upstream :db, #{a.address.inspect}, #{b.address.inspect}, :check => 0.02, :check_timeout => 60
      upstream_check(:db) { |remote| eval(File.read(File.join(#{dir.inspect}, remote[/\\d+\\z/]))) }
      upstream(:web, :every => 0.01) { ($calls = $calls.to_i + 1) > 1 ? sleep : [] }
      proxy { :db }
      Thread.new { sleep 0.01 until $calls.to_i > 1; ProxyMachine.graceful_shutdown("QUIT") }.name = "own"
      ProxyMachine.run("spec", "127.0.0.1", 0)
      puts "left: " + (Thread.list - before).reject { |thread| thread.name == "own" }.map(&:inspect).join(", ")
    RUBY
    expect(script.wait).to be_success
    expect(script.stdout).to match(/^left: $/)
  end

  it "is never called by -t and --route" do
    say(a => "true", b => "true")
    config = <<~RUBY
      upstream :db, #{a.address.inspect}, :check => 0.01
      upstream_check(:db) { abort "called" }
      upstream(:web, :every => 0.01) { abort "called" }
      upstream :game, #{b.address.inspect}, :start => -> { abort "called" }, :stop => -> { abort "called" }, :idle => 0.01
      proxy { |data| data == "g" ? :game : { :remote => [:db, :web] } }
    RUBY
    check = ProxyProcess.new(config, args: %w[-t -h 127.0.0.1 -p 0])
    expect(check.wait).to be_success
    expect(check.stdout).to include("upstream db: #{a.address}; ").and include("checked every 0.01 s by a block")
    expect(check.stderr).to eq ""
    %w[g x].each do |data|
      File.write(File.join(dir, "data"), data)
      route = ProxyProcess.new(config, args: ["--route", File.join(dir, "data")])
      expect(route.wait).to be_success
      expect(route.stdout).to include(data == "g" ? "upstream game: #{b.address}" : "upstream db: #{a.address}")
      expect(route.stderr).to eq ""
    end
    expect([*a.sessions, *b.sessions]).to be_empty
  end
end
