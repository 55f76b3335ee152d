# frozen_string_literal: true

# Time limits: before the decision, without traffic, and for those who have vanished.
RSpec.describe "A server with a limit of time" do
  let(:echo) { Backends.echo }

  it "closes who is not decided in time, silent or not, with an INFO line" do
    proxy = ProxyProcess.start("decision_timeout 0.3\nproxy { :noop }")
    silent = connect(proxy)
    talking = connect(proxy).write("hello")
    expect([silent, talking].map(&:read_all)).to eq ["", ""]
    proxy.settle
    expect(proxy.lines.grep(/INFO \S+ no decision after 0.3s. Closing./).size).to eq 2
  end

  it "asks proxy_timeout instead, which may route, speak, or wait as long again" do
    proxy = ProxyProcess.start(<<~RUBY)
      decision_timeout 0.2
      proxy { |data| data.end_with?("!") ? { :close => "decided" } : :noop }
      proxy_timeout do |data, client|
        case data
        when "" then { :remote => #{echo.address.inspect} }
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

  it "does not count the time after the decision" do
    proxy = ProxyProcess.start("decision_timeout 0.3\nproxy { #{echo.address.inspect} }")
    client = connect(proxy).write("one")
    expect(client.read(3)).to eq "one"
    sleep 0.6
    expect(client.write("two").read(3)).to eq "two"
  end

  it "closes who is idle for too long, both ways, with an INFO line" do
    proxy = ProxyProcess.start("idle_timeout 0.5\nproxy { #{echo.address.inspect} }")
    client = connect(proxy).write("one")
    expect(client.read(3)).to eq "one"
    expect(client).to be_ended
    proxy.await(/INFO \S+ idle with #{echo.address} for 0.5s. Closing./)
  end

  it "closes a half-closed connection without traffic after half_closed_timeout" do
    silent = Backend.new { |session| session.write("hello"); session.drain; sleep } # rubocop:disable Style/Semicolon
    proxy = ProxyProcess.start("half_closed_timeout 0.3\nproxy { #{silent.address.inspect} }")
    expect(connect(proxy).write("x").finish.read_all).to eq "hello"
  end

  it "probes silent peers on both sides" do
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

  it "names a block that takes long, and a callback, but no quick one" do
    proxy = ProxyProcess.start(<<~RUBY)
      slow_block 0.2
      proxy { |data| sleep 0.4 if data == "slow"; { :remote => #{address_of_refused.inspect}, :retries => 0 } }
      proxy_connect_error { sleep 0.4 if ENV["x"].nil? && $slow; $slow = true }
    RUBY
    ask("quick", proxy)
    expect(proxy.settle.lines.grep(/ took /)).to eq []
    ask("slow", proxy)
    expect(proxy.await(/WARN 127.0.0.1:\d+ the proxy block took 0\.[4-9]\d*s$/)).to be_a String
    expect(proxy.await(/WARN 127.0.0.1:\d+ the proxy_connect_error block took /)).to be_a String
  end
end
