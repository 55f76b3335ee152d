# frozen_string_literal: true

# CONTRACT 8: what killed or stalled 1.2.4.
RSpec.describe "What killed 1.2.4 and must not kill 2.0:" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        case data
        when /\\Aat:(.*)/ then { :remote => $1 }
        when "closing" then { :remote => #{closing.address.inspect} }
        when "slow" then puts "slow begins"; sleep 1; { :close => "slow" }
        when "not implemented" then raise NotImplementedError, "a ScriptError"
        else { :remote => #{echo.address.inspect} }
        end
      end
      proxy_connect_error { |remote| raise "in the callback for \#{remote}" }
    RUBY
  end

  after do
    client = connect.write("still there?")
    expect(client.read(12)).to eq "still there?"
  end

  it "bulk in both directions at once, which stalled for ever" do
    data = Bulk.bytes(32 * 1024 * 1024)
    client = connect.write("hello")
    client.read(5)
    expect(Bulk.digest(Bulk.exchange(client.socket, data))).to eq Bulk.digest(data)
  end

  it "a client that leaves between two attempts" do
    refused = Backends.refusing
    clients = Array.new(5) { connect.write("at:#{refused.address}") }
    eventually { expect(proxy.lines.grep(/Retrying connection with #{refused.address} /).size).to be >= 5 }
    clients.each_with_index { |client, index| index.even? ? client.reset : client.close }
    expect(ask("at:#{refused.address}")).to eq "" # which takes as long as all of theirs would have
  end

  it "an RST before the connection is accepted" do
    waiting = connect.write("slow")
    eventually { expect(proxy.recent_log).to include "slow begins" }
    200.times { connect.reset }
    expect(waiting.read_all).to eq "slow"
  end

  it "an exception while a retry is made" do
    remote = "#{"x" * 64}.invalid:80"
    expect(ask("at:#{remote}")).to eq ""
    expect(proxy.errors).to include "ERROR Connect #{remote} failed after ten attempts."
  end

  it "an exception in a callback" do
    expect(ask("closing")).to eq ""
    expect(proxy.errors.last).to eq "ERROR RuntimeError - in the callback for #{closing.address}"
  end

  it "an exception that is no StandardError in the block" do
    expect(ask("not implemented")).to eq ""
    expect(proxy.errors).to eq ["ERROR NotImplementedError - a ScriptError"]
  end

  it "one slow block, which stalled every connection" do
    established = connect.write("hello")
    established.read(5)
    waiting = connect.write("slow")
    eventually { expect(proxy.recent_log).to include "slow begins" }
    50.times { expect(established.write("message").read(7)).to eq "message" }
    expect(waiting).to be_quiet
    expect(waiting.read_all).to eq "slow"
  end
end
