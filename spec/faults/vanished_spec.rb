# frozen_string_literal: true

# One example a fault: a host loses its power, and says no farewell. Its address is there at one moment and gone at the
# next, in a network of its own. Who is asked for it notices, though nothing ever comes from there again.
RSpec.describe "A host that vanishes" do
  in_own_network

  running(:proxy) { Puppet.start("keepalive 1\nuser_timeout 1") }

  host = "10.99.0.1"

  before do
    File.write("/proc/sys/net/ipv4/tcp_keepalive_intvl", "1")
    system("ip", "addr", "add", "#{host}/32", "dev", "lo", exception: true)
    @sockets = proxy.open_sockets
  rescue Errno::EROFS, Errno::EACCES => e
    skip "the system's time between two probes cannot be changed here (#{e.message})"
  end

  # Each connection is gone on both sides, and the server serves.
  after do
    expect(ask("{ :close => 'served' }\n")).to eq "served"
    eventually { expect(proxy.open_sockets).to eq @sockets }
  end

  let(:vanish) { system("ip", "addr", "del", "#{host}/32", "dev", "lo", exception: true) }
  let(:backend) { FaultyBackend.new }

  define_method(:client_there) { FaultyPeer.new(Socket.tcp("127.0.0.1", proxy.port, host)) }

  # The backend has answered.
  def joined(client, backend)
    client.write(Puppet.to(backend))
    server = backend.accept
    server.read(Puppet.to(backend).size)
    server.write("hello")
    expect(client.read(5)).to eq "hello"
    server
  end

  it "and was a client is found out when it is sent something" do
    server = joined(client_there, backend)
    vanish
    server.write("are you there?")
    expect(server.heard).to eq(:FIN).or eq(:RST)
  end

  it "and was a client that is silent, as its backend is, is found out by a probe" do
    server = joined(client_there, backend)
    vanish
    expect(server.heard).to eq(:FIN).or eq(:RST)
  end

  it "and was a client of which nothing is decided yet is found out by a probe" do
    client = client_there.write("no line yet")
    proxy.await(answer_line(client, { noop: true }))
    vanish
  end

  it "and was a backend is found out when it is sent something" do
    client = connect
    joined(client, FaultyBackend.new(host: host))
    vanish
    client.write("are you there?")
    expect(client.read_all).to eq ""
  end

  it "and was a backend that is silent, as its client is, is found out by a probe" do
    client = connect
    joined(client, FaultyBackend.new(host: host))
    vanish
    expect(client.read_all).to eq ""
  end
end
