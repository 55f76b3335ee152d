# frozen_string_literal: true

# Established connections never wait for Ruby: not for the block, not for a callback, not for a thread of the config.
RSpec.describe "An established connection" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      spinner = nil
      proxy do |data|
        case data
        when "sleep" then puts "asleep"; sleep 1.5; puts "awake"; { :close => "slept" }
        when "compute"
          puts "computing"
          ending = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 1.5
          nil until Process.clock_gettime(Process::CLOCK_MONOTONIC) > ending
          puts "computed"
          { :close => "computed" }
        when "spin"
          spinner = Thread.new { loop {} }
          { :close => "spinning" }
        when "stop" then spinner.kill; { :close => "stopped" }
        when "fail" then { :remote => #{closing.address.inspect} }
        else { :remote => #{echo.address.inspect} }
        end
      end
      proxy_connect_error { puts "callback begins"; sleep 1.5; puts "callback ends" }
    RUBY
  end

  # A connection that has been decided and is in use.
  def relay
    connect.tap { |client| expect(client.write("hello").read(5)).to eq "hello" }
  end

  # So many messages go to the backend and back on the connection.
  def round_trips(client, count)
    count.times { |number| expect(client.write(number.to_s.rjust(8)).read(8)).to eq number.to_s.rjust(8) }
  end

  def expect_printed(text)
    eventually { expect(proxy.recent_log).to include text }
  end

  it "answers while the block sleeps" do
    established = relay
    waiting = connect.write("sleep")
    expect_printed "asleep\n"
    round_trips(established, 100)
    expect(waiting).to be_quiet
    expect(proxy.recent_log).not_to include "awake\n"
    expect(waiting.read_all).to eq "slept"
  end

  it "answers while the block computes" do
    established = relay
    waiting = connect.write("compute")
    expect_printed "computing\n"
    round_trips(established, 100)
    expect(waiting).to be_quiet
    expect(proxy.recent_log).not_to include "computed\n"
    expect(waiting.read_all).to eq "computed"
  end

  it "answers while a callback sleeps" do
    established = relay
    failing = connect.write("fail")
    expect_printed "callback begins\n"
    round_trips(established, 100)
    expect(failing).to be_quiet
    expect(proxy.recent_log).not_to include "callback ends\n"
    expect(failing.read_all).to eq ""
  end

  it "answers within milliseconds while a thread of the config spins" do
    established = relay
    expect(ask("spin")).to eq "spinning"
    # Whoever needed Ruby beside the spinning thread would wait its time slice of 100 ms for each message.
    started = Eventually.monotonic
    round_trips(established, 200)
    expect(Eventually.monotonic - started).to be < 200 * 0.1 / 2
  ensure
    expect(ask("stop")).to eq "stopped"
  end

  it "moves bulk, ends and is counted while the block sleeps" do
    established = relay
    waiting = connect.write("sleep")
    expect_printed "asleep\n"
    data = Bulk.bytes(4 * 1024 * 1024)
    expect(Bulk.digest(Bulk.exchange(established.socket, data))).to eq Bulk.digest(data)
    expect(proxy.recent_log).not_to include "awake\n"
    expect(waiting.read_all).to eq "slept"
  end

  it "can be made to the queue while the block sleeps, and is served after it" do
    sleeping = connect.write("sleep")
    expect_printed "asleep\n"
    queued = Array.new(20) { connect.write("hello") }
    expect(sleeping.read_all).to eq "slept"
    queued.each { |client| expect(client.read(5)).to eq "hello" }
  end
end
