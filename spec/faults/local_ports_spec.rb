# frozen_string_literal: true

# A fault: the system has no port left for one more connection to the backend. In a network of its own, with four ports.
RSpec.describe "A server that has used up the system's ports" do
  in_own_network

  running(:backend) { FaultyBackend.new }
  running(:proxy) { Puppet.start }
  unharmed(:proxy)

  before(:context) { @ports = (10_000..).each }
  before do
    @network.local_ports = (50_000..50_003)
  rescue Errno::EROFS, Errno::EACCES => e
    skip "the system's range of ports cannot be changed here (#{e.message})"
  end
  after { @network.local_ports = (32_768..60_999) }

  # The examples' own connections take other ports.
  def connect(to = proxy)
    FaultyPeer.new(Socket.tcp("127.0.0.1", to.port, "127.0.0.1", @ports.next))
  end

  # Four connections that stand, and have heard from their backend.
  def use_up
    Array.new(4) do
      client = connect.write(Puppet.to(backend))
      server = backend.accept.write("hello")
      expect(client.read(5)).to eq "hello"
      [client, server]
    end
  end

  # Said once a minute at most, by whichever example comes first.
  def used_up
    "WARN Cannot connect to #{backend.address}: Cannot assign requested address"
  end

  it "tries again, and goes on when one is free" do
    held = use_up
    late = connect.write(Puppet.to(backend))
    proxy.await("WARN Retrying connection with #{backend.address} (#1)")
    held.first.last.reset
    server = backend.accept
    expect(server.read(Puppet.to(backend).size)).to eq Puppet.to(backend)
    server.write("reply").close
    expect(late.read_all).to eq "reply"
    @expected_trouble = trouble
    expect(@expected_trouble - [used_up]).to eq retries(backend, 1..(@expected_trouble - [used_up]).size)
  end

  it "does not take itself for a backend that is not there" do
    @network.local_ports = (50_009..50_009)
    expect(connect.write("{ :remote => '127.0.0.1:50009', :retries => 0 }\n").read_all).to eq ""
    @network.local_ports = (32_768..60_999)
    expect(trouble).to match [/\AERROR Connect 127\.0\.0\.1:50009 failed/]
    expect_trouble(*trouble)
  end

  it "gives up after eleven attempts, and serves the others" do
    held = use_up
    expect(connect.write(Puppet.to(backend)).read_all).to eq ""
    expect_trouble(*[used_up] & trouble, *retries(backend, 1..10),
                   "ERROR Connect #{backend.address} failed after ten attempts.")
    held.each do |client, server|
      server.write("still there")
      expect(client.read(11)).to eq "still there"
    end
    expect(ask("{ :close => 'served' }\n")).to eq "served"
  end
end
