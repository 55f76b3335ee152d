# frozen_string_literal: true

# Timeouts: before the decision, without traffic, and for dead peers.
RSpec.describe "Timeouts:" do
  let(:echo) { Backends.echo }

  # The first of the block's clients that has its echo before a timeout. On a busy machine another one may not.
  def in_time
    eventually do
      client = yield
      client if client.read(3) == "one"
    rescue SystemCallError
      nil
    end
  end

  it "decision_timeout closes an undecided client, silent or not, with an INFO line" do
    proxy = ProxyProcess.start("decision_timeout 0.3\nproxy { :noop }")
    silent = connect(proxy)
    talking = connect(proxy).write("hello")
    expect([silent, talking].map(&:read_all)).to eq ["", ""]
    proxy.settle
    expect(proxy.lines.grep(/INFO \S+ no decision after 0.3s. Closing./).size).to eq 2
  end

  it "decision_timeout calls proxy_timeout instead, which may route, send or wait once more" do
    proxy = ProxyProcess.start(<<~RUBY)
      decision_timeout 0.2
      proxy { |data| data.end_with?("!") ? { :close => "decided" } : :noop }
      proxy_timeout do |data, client|
        case data
        when ""
          next :noop if $routed # its first bytes come late

          $routed = true
          { :remote => #{echo.address.inspect} }
        when "words" then { :close => "too late, \#{client.ip}" }
        else { :noop => "go on" }
        end
      end
    RUBY
    routed = connect(proxy)
    proxy.await(/Successful/)
    expect(routed.write("hello").read(5)).to eq "hello"
    expect(ask("words", proxy)).to eq "too late, 127.0.0.1"
    patient = connect(proxy).write("slow")
    expect(patient.read(5)).to eq "go on"
    expect(patient.write("!").read_all).to end_with "decided"
  end

  it "decision_timeout does not count the time after the decision" do
    proxy = ProxyProcess.start("decision_timeout 0.3\nproxy { #{echo.address.inspect} }")
    client = in_time { connect(proxy).write("one") }
    sleep 0.6
    expect(client.write("two").read(3)).to eq "two"
  end

  it "idle_timeout closes a connection without traffic either way, with an INFO line" do
    proxy = ProxyProcess.start("idle_timeout 0.5\nproxy { #{echo.address.inspect} }")
    client = in_time { connect(proxy).write("one") }
    expect(client).to be_ended
    proxy.await(/INFO \S+ idle with #{echo.address} for 0.5s. Closing./)
  end

  it "half_closed_timeout closes a half-closed connection without traffic" do
    silent = Backend.new { |session| session.write("hello"); session.drain; sleep } # rubocop:disable Style/Semicolon
    proxy = ProxyProcess.start("half_closed_timeout 0.3\nproxy { #{silent.address.inspect} }")
    client = connect(proxy).write("x")
    expect(client.read(5)).to eq "hello"
    expect(client.finish.read_all).to eq ""
  end

  it "keepalive probes silent peers on both sides" do
    skip "ss is not installed" unless system("ss --version", out: File::NULL, err: File::NULL)
    proxy = ProxyProcess.start("keepalive 77\nuser_timeout 200\nproxy { #{echo.address.inspect} }")
    client = connect(proxy).write("one")
    expect(client.read(3)).to eq "one"
    eventually do
      timers = `ss -tnoH state established`.lines.grep(/timer:\(keepalive,(?:1min)?\d/)
      ports = [proxy.port, echo.address[/\d+\z/].to_i]
      expect(ports).to all(satisfy { |port| timers.any? { |line| line.include?(":#{port} ") } })
    end
  end

  it "keepalive probes a backend that has ended its side, too" do
    skip "ss is not installed" unless system("ss --version", out: File::NULL, err: File::NULL)
    backend = Backend.new do |session|
      session.write("hello")
      session.finish
      session.drain
    end
    proxy = ProxyProcess.start("keepalive 77\nproxy { #{backend.address.inspect} }")
    client = connect(proxy).write("x")
    expect(client.read_all).to eq "hello"
    eventually do
      timers = `ss -tnoH state close-wait`.lines.grep(/timer:\(keepalive,(?:1min)?\d/)
      expect(timers).to include(a_string_including(" #{backend.address} "))
    end
    client.finish
  end

  it "slow_block logs a slow block and a slow callback, and no quick one" do
    proxy = ProxyProcess.start(<<~RUBY)
      slow_block 0.2
      proxy { |data| sleep 0.4 if data == "slow"; { :remote => #{refused_address.inspect}, :retries => 0 } }
      proxy_connect_error { sleep 0.4 if ENV["x"].nil? && $slow; $slow = true }
    RUBY
    eventually do # On a busy machine a quick block may take long.
      proxy.mark_log
      ask("quick", proxy)
      expect(proxy.settle.lines.grep(/ took /)).to eq []
    end
    ask("slow", proxy)
    expect(proxy.await(/WARN 127.0.0.1:\d+ the proxy block took (0\.[4-9]|[1-9])[\d.]*s$/)).to be_a String
    expect(proxy.await(/WARN 127.0.0.1:\d+ the proxy_connect_error block took /)).to be_a String
  end
end
