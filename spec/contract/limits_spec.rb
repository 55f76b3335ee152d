# frozen_string_literal: true

# CONTRACT 8: the memory of undecided connections is bounded.
RSpec.describe "Preread limit:" do
  mebibyte = 1024 * 1024

  running(:sizing) { Backend.new { |session| session.write("got #{session.drain.size}") } }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        if data.size >= #{mebibyte} - 100_000 && data.end_with?("!") then { :remote => #{sizing.address.inspect} }
        elsif data == "hi" then { :close => "served" }
        else { :noop => true }
        end
      end
    RUBY
  end

  # Sends until the proxy accepts no more. Returns whether the proxy then closed the connection.
  def flood(client, size)
    block = "x" * 65_536
    (size / block.size).times { client.write(block) }
    client.ended?
  rescue Errno::EPIPE, Errno::ECONNRESET
    true
  end

  it "closes an undecided client after 1 MiB with one ERROR line that names the limit" do
    client = connect
    address = client.address
    expect(flood(client, 8 * mebibyte)).to be true
    expect(proxy.errors.size).to eq 1
    expect(proxy.errors.first).to match(/\AERROR #{address} no decision after \d+ bytes \(limit 1048576\)/)
  end

  it "does not affect a client whose decision comes before the limit" do
    client = connect.write("x" * (mebibyte - 50_001)).write("!").finish
    expect(client.read_all).to eq "got #{mebibyte - 50_000}"
    expect(proxy.errors).to eq []
  end

  it "bounds the memory of sixteen such clients" do
    expect(ask("hi")).to eq "served"
    before = proxy.resident_bytes
    floods = Array.new(16) { Thread.new { flood(connect, 4 * mebibyte) } }
    expect(floods.map(&:value)).to all(be true)
    expect(proxy.resident_bytes - before).to be < 64 * mebibyte
    expect(ask("hi")).to eq "served"
  end
end
