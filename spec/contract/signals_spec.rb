# frozen_string_literal: true

# CONTRACT 7 and 6: QUIT, TERM and INT. The grace period of ten seconds is in grace_periods_spec.rb.
RSpec.describe "Signals:" do
  let(:echo) { Backends.echo }
  let(:proxy) do
    ProxyProcess.start(<<~RUBY)
      trap("QUIT") { puts "the config's own trap" }
      trap("TERM") { puts "the config's own trap" }
      trap("INT") { puts "the config's own trap" }
      trap("USR1") { warn "kept" }
      proxy { |data| data.start_with?("wait") ? { :noop => true } : { :remote => #{echo.address.inspect} } }
    RUBY
  end

  def relay
    connect.tap { |client| expect(client.write("hello").read(5)).to eq "hello" }
  end

  def refused?
    connect.close
    false
  rescue Errno::ECONNREFUSED, Errno::ECONNRESET
    true
  end

  %w[QUIT TERM INT].each do |name|
    describe name do
      it "ends an idle server at once with status 0" do
        proxy.signal(name)
        expect(proxy.wait(within: 8)).to be_success
      end

      it "stops accepting; established connections go on" do
        client = relay
        proxy.signal(name)
        proxy.await("INFO Received #{name} signal. No longer accepting new connections.")
        eventually { expect(refused?).to be true }
        expect(client.write("still there?").read(12)).to eq "still there?"
        client.close
        proxy.wait
      end

      it "ends the server with status 0 when the last connection has ended" do
        clients = [relay, relay]
        proxy.signal(name)
        proxy.await("INFO Waiting for 2 connections to finish.")
        clients.first.close
        proxy.await("INFO Waiting for 1 connections to finish.")
        clients.last.close
        expect(proxy.wait(within: 8)).to be_success
        expect(proxy.lines.last).to eq "INFO Waiting for 0 connections to finish."
      end

      it "is logged, but not from the trap context" do
        proxy.signal(name)
        proxy.wait
        limit = ["INFO Maximum time to wait for connections is 10 seconds."]
        expect(proxy.lines.drop(3)).to eq [
          "INFO Received #{name} signal. No longer accepting new connections.",
          *(name == "QUIT" ? [] : limit),
          "INFO Waiting for 0 connections to finish."
        ]
        expect(proxy.stderr).to eq ""
      end

      it "replaces a trap of the config" do
        proxy.signal(name)
        proxy.wait
        expect(proxy.stdout).not_to include "the config's own trap"
      end

      it "does not interrupt a dial" do
        late = Backends.refusing { |session| session.write("late:#{session.read}") }
        proxy = ProxyProcess.start("proxy { |data| { :remote => #{late.address.inspect}, :retries => 1000 } }")
        client = connect(proxy).write("x")
        proxy.await("WARN Retrying connection with #{late.address} (#1)")
        proxy.signal(name)
        proxy.await(/\AINFO Received #{name} signal/)
        late.listen
        expect(client.read_all).to eq "late:x"
        client.close
        expect(proxy.wait).to be_success
      end

      it "loses no byte of a reply in flight" do
        data = Payload.bytes(8 * 1024 * 1024)
        serving = Backend.new do |session|
          session.read
          session.write(data)
        end
        proxy = ProxyProcess.start("proxy { |data| { :remote => #{serving.address.inspect} } }")
        client = connect(proxy).write("x")
        received = client.read(1000)
        proxy.signal(name)
        proxy.await(/\AINFO Received #{name} signal/)
        expect(Payload.digest(received + client.read_all)).to eq Payload.digest(data)
        client.close
        expect(proxy.wait).to be_success
      end
    end
  end

  it "other signals are the config's" do
    relay
    proxy.signal("USR1")
    eventually { expect(proxy.stderr).to include "kept\n" }
    expect(proxy).to be_running
  end

  it "are handled after a thread of the config has ended and while the server is idle" do
    proxy = ProxyProcess.start(<<~RUBY)
      Thread.new { sleep 0.3; puts "the thread has ended" }
      proxy { |data| { :noop => true } }
    RUBY
    eventually { proxy.stdout.include?("the thread has ended") }
    eventually { Dir.children("/proc/#{proxy.pid}/task").none? { |id| thread_name(proxy, id).include?("config.rb") } }
    proxy.signal("QUIT")
    expect(proxy.wait(within: 8)).to be_success
  end

  def thread_name(proxy, id)
    File.read("/proc/#{proxy.pid}/task/#{id}/comm")
  rescue SystemCallError
    "" # the process ended meanwhile
  end

  it "are handled when the block or a thread of the config sends them" do
    proxy = ProxyProcess.start(<<~RUBY)
      Thread.new { sleep 0.01 until $asked; Process.kill("USR1", Process.pid) }
      trap("USR1") { Process.kill("QUIT", Process.pid) }
      proxy { |data| $asked = true; { :close => true } }
    RUBY
    ask("x", proxy)
    expect(proxy.wait(within: 8)).to be_success
  end

  it "QUIT while the config is loaded ends the server with status 0" do
    starting = ProxyProcess.new("puts 'loading'\nsleep\nproxy { :noop }")
    eventually { starting.stdout.include?("loading") }
    starting.signal("QUIT")
    expect(starting.wait).to be_success
    expect(starting.stderr).to eq ""
  end

  it "end a server at any moment of its start, without a panic" do
    16.times do
      starting = ProxyProcess.new("proxy { |data| { :noop => true } }\n$stdout.sync = true\nputs 'loaded'")
      eventually { starting.stdout.include?("loaded") }
      sleep rand * 0.003 # another moment each time
      starting.signal("TERM")
      expect(starting.wait).to be_success.or have_attributes(termsig: Signal.list["TERM"])
      expect(starting.stderr).to eq ""
    end
  end
end
