# frozen_string_literal: true

# CONTRACT 8: events that killed or stalled 1.2.4.
RSpec.describe "Defects of 1.2.4, survived by 2.0:" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  # The slow block goes on when a file of this name exists.
  before(:context) { @gate = File.join(Dir.mktmpdir("proxymachine-spec"), "gate") }
  after(:context) { FileUtils.rm_rf(File.dirname(@gate)) }

  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        case data
        when /\\Aat:(.*)/ then { :remote => $1 }
        when "closing" then { :remote => #{closing.address.inspect} }
        when "slow" then puts "slow begins"; sleep 0.01 until File.exist?(#{@gate.inspect}); { :close => "slow" }
        when "not implemented" then raise NotImplementedError, "a ScriptError"
        else { :remote => #{echo.address.inspect} }
        end
      end
      proxy_connect_error { |remote| raise "in the callback for \#{remote}" }
    RUBY
  end

  after do
    FileUtils.rm_f(@gate)
    client = connect.write("still there?")
    expect(client.read(12)).to eq "still there?"
  end

  it "large transfers in both directions at once, which stalled for ever" do
    data = Payload.bytes(32 * 1024 * 1024)
    client = connect.write("hello")
    client.read(5)
    expect(Payload.digest(Payload.exchange(client.socket, data))).to eq Payload.digest(data)
  end

  it "a client that disconnects between two connection attempts" do
    refused = Backends.refusing
    clients = Array.new(5) { connect.write("at:#{refused.address}") }
    eventually { expect(proxy.lines.grep(/Retrying connection with #{refused.address} /).size).to be >= 5 }
    clients.each_with_index { |client, index| index.even? ? client.reset : client.close }
    expect(ask("at:#{refused.address}")).to eq "" # takes as long as all attempts of the others
  end

  it "an RST before accept" do
    waiting = connect.write("slow")
    eventually { expect(proxy.recent_log).to include "slow begins" }
    200.times { connect.reset }
    File.write(@gate, "")
    expect(waiting.read_all).to eq "slow"
  end

  it "an exception during a retry" do
    remote = "#{"x" * 64}.invalid:80"
    expect(ask("at:#{remote}")).to eq ""
    expect(proxy.errors).to include "ERROR Connect #{remote} failed after ten attempts."
  end

  it "an exception in a callback" do
    expect(ask("closing")).to eq ""
    expect(proxy.errors.last).to eq "ERROR RuntimeError - in the callback for #{closing.address}"
  end

  it "an exception in the block that is not a StandardError" do
    expect(ask("not implemented")).to eq ""
    expect(proxy.errors).to eq ["ERROR NotImplementedError - a ScriptError"]
  end

  it "a slow block, which stalled every connection" do
    established = connect.write("hello")
    established.read(5)
    waiting = connect.write("slow")
    eventually { expect(proxy.recent_log).to include "slow begins" }
    50.times { expect(established.write("message").read(7)).to eq "message" }
    expect(waiting).to be_quiet
    File.write(@gate, "")
    expect(waiting.read_all).to eq "slow"
  end
end
