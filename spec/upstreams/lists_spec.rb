# frozen_string_literal: true

# `:every` with a block: the servers of an upstream come from Ruby.
RSpec.describe "Lists of servers:" do
  running(:a) { Backends.echo("a") }
  running(:b) { Backends.echo("b") }
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:file) { File.join(dir, "servers") }

  after { FileUtils.rm_rf(dir) }

  # A proxy whose block evaluates the file. `list` writes it.
  def config(options = "", interval = 0.02)
    <<~RUBY
      upstream(:web, :every => #{interval}, #{options}) { eval(File.read(#{file.inspect})) }
      proxy { { :remote => :web, :retries => 0 } }
      proxy_connect_error { |remote| { :close => "no \#{remote}" } }
    RUBY
  end

  def list(ruby)
    File.write("#{file}.new", ruby.is_a?(String) ? ruby : ruby.map(&:address).inspect)
    File.rename("#{file}.new", file)
  end

  # Waits until the block has succeeded, so that its next failure is logged.
  def await_success
    called = File.join(dir, "called")
    list "File.write(#{called.inspect}, ''); [#{a.address.inspect}]"
    eventually { File.exist?(called) }
    list [a]
    File.unlink(called)
  end

  # Asks, and ends the connection when the reply has come.
  def answer(proxy)
    client = connect(proxy).write("x")
    client.read(3)
  ensure
    client.close
  end

  def servers(proxy)
    Array.new(20) { answer(proxy)[0] }.uniq.sort.join
  end

  it "are used from the first client on, and followed" do
    list [a]
    proxy = ProxyProcess.start(config)
    expect(servers(proxy)).to eq "a"
    list [a, b]
    eventually { expect(servers(proxy)).to eq "ab" }
    list [b]
    eventually { expect(servers(proxy)).to eq "b" }
  end

  it "leave the sessions of a server that is gone alone" do
    list [a]
    proxy = ProxyProcess.start(config)
    session = connect(proxy).write("x")
    expect(session.read(3)).to eq "a:x"
    list [b]
    eventually { expect(answer(proxy)).to eq "b:x" }
    expect(session.write("y").read(1)).to eq "y"
  end

  it "may be empty, and fill again" do
    list []
    proxy = ProxyProcess.start(config)
    expect(answer(proxy)).to eq "no "
    list [a]
    eventually { expect(answer(proxy)).to eq "a:x" }
    list []
    proxy.await("ERROR Upstream web: no server is up")
    eventually { expect(answer(proxy)).to eq "no " }
  end

  it "keep the last list when the block fails, with one WARN line" do
    list [a]
    proxy = ProxyProcess.start(config)
    { 'raise "boom"' => "the block that lists its servers failed: RuntimeError - boom",
      "exit" => "the block that lists its servers failed: SystemExit - exit",
      "Thread.exit" => "the block that lists its servers failed: it ended its thread",
      "[:web]" => 'invalid server :web: it has no port, expected "host:port"',
      "nil" => 'servers are an Array such as ["10.0.0.1:80"], not nil' }.each do |ruby, reason|
      proxy.mark_log
      list ruby
      proxy.await("WARN Upstream web: the last list of servers stays: #{reason}")
      expect(servers(proxy)).to eq "a"
      await_success
    end
    list "sleep"
    sleep 0.1
    expect(servers(proxy)).to eq "a"
    expect(proxy.settle.lines.grep(/\AWARN/).size).to eq 1
    proxy.signal(:TERM)
    expect(proxy.wait).to be_success
  end

  it "refuse to start if the first one fails" do
    { 'raise "boom"' => "the block that lists its servers failed: RuntimeError - boom",
      '["10.0.0.1"]' => 'invalid server "10.0.0.1": it has no port, expected "host:port"' }.each do |ruby, reason|
      list ruby
      [[], %w[--workers 2]].each do |arguments|
        proxy = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
        expect(proxy.wait.exitstatus).to eq 1
        expect(proxy.stderr).to eq "proxymachine: upstream :web: #{reason}\n"
      end
    end
  end

  it "take 10,000 servers, and the same one many times" do
    list "Array.new(10_000) { |index| \"127.0.0.1:\#{index + 1}\" }.map { #{a.address.inspect} }"
    proxy = ProxyProcess.start(config)
    expect(answer(proxy)).to eq "a:x"
    list "Array.new(10_000) { |index| \"127.1.\#{index / 250}.\#{index % 250}:9\" } + [#{b.address.inspect}]"
    eventually { expect(answer(proxy)).to eq "b:x" } # All others refuse.
    list [a]
    eventually { expect(answer(proxy)).to eq "a:x" }
    list [b]
    eventually { expect(answer(proxy)).to eq "b:x" }
  end

  it "of a reload stay if the block fails; a new upstream's must succeed" do
    list [a]
    proxy = ProxyProcess.start(config("", 60))
    list 'raise "boom"'
    proxy.signal(:HUP)
    proxy.await(/\AWARN Upstream web: the last list of servers stays: .*boom/)
    proxy.await(/\AINFO Reloaded /)
    expect(answer(proxy)).to eq "a:x"
    File.write(proxy.config_path, config("", 60).sub(":web", ":other").sub("=> :web", "=> :other"))
    proxy.mark_log
    proxy.signal(:HUP)
    proxy.await(/\AERROR Cannot reload .*: upstream :other: the block that lists its servers failed: Runtime.* boom/)
    expect(answer(proxy)).to eq "a:x"
  end

  it "of a reload stay with workers, too, as they were listed last" do
    list [a]
    proxy = ProxyProcess.start(config("", 0.1), workers: 2)
    list [b]
    eventually { expect(servers(proxy)).to eq "b" }
    list 'raise "boom"'
    proxy.signal(:HUP)
    proxy.await(/\AWARN Upstream web: the last list of servers stays: .*boom/)
    proxy.await(/\AINFO Reloaded /)
    expect(servers(proxy)).to eq "b"
  end

  it "are called by one of several workers, and all learn them" do
    list "puts(\"listed by \#{Process.pid}\"); [#{a.address.inspect}]"
    proxy = ProxyProcess.start(config, workers: 3)
    expect(servers(proxy)).to eq "a"
    list "puts(\"listed by \#{Process.pid}\"); [#{b.address.inspect}]"
    eventually { expect(servers(proxy)).to eq "b" }
    callers = proxy.log.scan(/^listed by (\d+)$/).flatten.uniq
    expect(callers.size).to eq 2 # the process that loads the config for the cluster, and one worker
  end
end
