# frozen_string_literal: true

# CONTRACT 8: memory before the decision is bounded.
RSpec.describe "A client that sends without end before the decision" do
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

  # As much as the proxy takes; true if it then ended the connection.
  def flood(client, size)
    block = "x" * 65_536
    (size / block.size).times { client.write(block) }
    client.ended?
  rescue Errno::EPIPE, Errno::ECONNRESET
    true
  end

  it "is closed after 1 MiB with one error line that names the limit" do
    client = connect
    address = client.address
    expect(flood(client, 8 * mebibyte)).to be true
    expect(proxy.errors.size).to eq 1
    expect(proxy.errors.first).to match(/\AERROR #{address} no decision after \d+ bytes \(limit 1048576\)/)
  end

  it "is replayed whole when the decision comes before that" do
    client = connect.write("x" * (mebibyte - 50_001)).write("!").finish
    expect(client.read_all).to eq "got #{mebibyte - 50_000}"
    expect(proxy.errors).to eq []
  end

  it "may do so sixteen times over, and memory stays bounded" do
    expect(ask("hi")).to eq "served"
    before = proxy.resident_bytes
    floods = Array.new(16) { Thread.new { flood(connect, 4 * mebibyte) } }
    expect(floods.map(&:value)).to all(be true)
    expect(proxy.resident_bytes - before).to be < 64 * mebibyte
    expect(ask("hi")).to eq "served"
  end
end
