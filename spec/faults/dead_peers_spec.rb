# frozen_string_literal: true

# One example per fault: a host loses its power and sends neither FIN nor RST. Its address is removed from a network
# namespace. The proxy notices by retransmission timeouts and keepalive probes.
RSpec.describe "Dead peer:" do
  in_network_namespace

  running(:proxy) { ScriptedProxy.start("keepalive 1\nuser_timeout 1") }
  before(:context) { @sockets = proxy&.open_sockets } # without a connection

  host = "10.99.0.1"

  before do
    File.write("/proc/sys/net/ipv4/tcp_keepalive_intvl", "1")
    system("ip", "addr", "add", "#{host}/32", "dev", "lo", exception: true)
  rescue Errno::EROFS, Errno::EACCES => e
    skip "the system's time between two probes cannot be changed here (#{e.message})"
  end

  # Both sides of each connection are closed, and the server serves.
  after do
    expect(ask("{ :close => 'served' }\n")).to eq "served"
    eventually { expect(proxy.open_sockets).to eq @sockets }
  end

  let(:vanish) { system("ip", "addr", "del", "#{host}/32", "dev", "lo", exception: true) }
  let(:backend) { FaultyBackend.new }

  define_method(:client_there) { FaultyPeer.new(Socket.tcp("127.0.0.1", proxy.port, host)) }

  # Returns a client and the backend's end after the first reply.
  def joined(client, backend)
    client.write(ScriptedProxy.route_to(backend))
    server = backend.accept
    server.read(ScriptedProxy.route_to(backend).size)
    server.write("hello")
    expect(client.read(5)).to eq "hello"
    server
  end

  it "a client is detected when the proxy sends data to it" do
    server = joined(client_there, backend)
    vanish
    server.write("are you there?")
    expect(server.received_end).to eq :RST
  end

  it "a silent client of a silent backend is detected by a keepalive probe" do
    server = joined(client_there, backend)
    vanish
    expect(server.received_end).to eq :RST
  end

  it "an undecided client is detected by a keepalive probe" do
    client = client_there.write("no line yet")
    proxy.await(answer_log_line(client, { noop: true }))
    vanish
  end

  it "a backend is detected when the proxy sends data to it" do
    client = connect
    joined(client, FaultyBackend.new(host: host))
    vanish
    client.write("are you there?")
    expect(client.received_end).to eq :RST
  end

  it "a silent backend of a silent client is detected by a keepalive probe" do
    client = connect
    joined(client, FaultyBackend.new(host: host))
    vanish
    expect(client.received_end).to eq :RST
  end
end
