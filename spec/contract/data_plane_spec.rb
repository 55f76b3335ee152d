# frozen_string_literal: true

# Established connections never wait for Ruby: neither for the block nor for a callback nor for a thread of the config.
RSpec.describe "Data plane: an established connection" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  # The block and the callback go on when a file of this name exists.
  before(:context) { @gate = File.join(Dir.mktmpdir("proxymachine-spec"), "gate") }
  after(:context) { FileUtils.rm_rf(File.dirname(@gate)) }
  after { FileUtils.rm_f(@gate) }

  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      is_open = -> { File.exist?(#{@gate.inspect}) }
      spinner = nil
      proxy do |data|
        case data
        when "sleep" then puts "asleep"; sleep 0.01 until is_open.call; { :close => "slept" }
        when "compute"
          puts "computing"
          1_000_000.times { nil } until is_open.call
          { :close => "computed" }
        when "spin"
          spinner = Thread.new { loop {} }
          { :close => "spinning" }
        when "stop" then spinner.kill; { :close => "stopped" }
        when "fail" then { :remote => #{closing.address.inspect} }
        else { :remote => #{echo.address.inspect} }
        end
      end
      proxy_connect_error { puts "callback begins"; sleep 0.01 until is_open.call; { :close => "called" } }
    RUBY
  end

  # Returns an established connection.
  def relay
    connect.tap { |client| expect(client.write("hello").read(5)).to eq "hello" }
  end

  # Sends `count` messages to the backend and reads their echo.
  def round_trips(client, count)
    count.times { |number| expect(client.write(number.to_s.rjust(8)).read(8)).to eq number.to_s.rjust(8) }
  end

  # Lets the block or the callback go on, which had to wait until now.
  def open_gate(client)
    expect(client).to be_quiet
    File.write(@gate, "")
  end

  def expect_printed(text)
    eventually { expect(proxy.recent_log).to include text }
  end

  it "is relayed while the block sleeps" do
    established = relay
    waiting = connect.write("sleep")
    expect_printed "asleep\n"
    round_trips(established, 100)
    open_gate(waiting)
    expect(waiting.read_all).to eq "slept"
  end

  it "is relayed while the block computes" do
    established = relay
    waiting = connect.write("compute")
    expect_printed "computing\n"
    round_trips(established, 100)
    open_gate(waiting)
    expect(waiting.read_all).to eq "computed"
  end

  it "is relayed while a callback sleeps" do
    established = relay
    failing = connect.write("fail")
    expect_printed "callback begins\n"
    round_trips(established, 100)
    open_gate(failing)
    expect(failing.read_all).to eq "called"
  end

  it "is relayed within milliseconds while a thread of the config spins" do
    established = relay
    expect(ask("spin")).to eq "spinning"
    # If a message needed Ruby, it would wait for the spinning thread's time slice of 100 ms. Load delays only some.
    times = Array.new(200) do
      started = Eventually.monotonic
      round_trips(established, 1)
      Eventually.monotonic - started
    end
    expect(times.sort[100]).to be < 0.1 / 2
  ensure
    expect(ask("stop")).to eq "stopped"
  end

  it "transfers large payloads, ends and is counted while the block sleeps" do
    established = relay
    waiting = connect.write("sleep")
    expect_printed "asleep\n"
    data = Payload.bytes(4 * 1024 * 1024)
    expect(Payload.digest(Payload.exchange(established.socket, data))).to eq Payload.digest(data)
    open_gate(waiting)
    expect(waiting.read_all).to eq "slept"
  end

  it "accepted while the block sleeps is served after it" do
    sleeping = connect.write("sleep")
    expect_printed "asleep\n"
    queued = Array.new(20) { connect.write("hello") }
    open_gate(sleeping)
    expect(queued).to all be_quiet
    expect(sleeping.read_all).to eq "slept"
    queued.each { |client| expect(client.read(5)).to eq "hello" }
  end
end
