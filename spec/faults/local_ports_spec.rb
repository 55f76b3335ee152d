# frozen_string_literal: true

# A fault: the system has no ephemeral port left for another connection to the backend. The proxy runs in a network
# namespace with four ephemeral ports.
RSpec.describe "Ephemeral ports exhausted:" do
  in_network_namespace

  running(:backend) { FaultyBackend.new }
  running(:proxy) { ScriptedProxy.start }
  check_fault_isolation(:proxy)

  before(:context) { @ports = (10_000..).each }
  before do
    @network.local_ports = (50_000..50_003)
  rescue Errno::EROFS, Errno::EACCES => e
    skip "the system's range of ports cannot be changed here (#{e.message})"
  end
  after { @network.local_ports = (32_768..60_999) }

  # The examples' clients use other ports.
  def connect(to = proxy)
    FaultyPeer.new(Socket.tcp("127.0.0.1", to.port, "127.0.0.1", @ports.next))
  end

  # Four established connections with a reply from the backend.
  def use_up
    Array.new(4) do
      client = connect.write(ScriptedProxy.route_to(backend))
      server = backend.accept.write("hello")
      expect(client.read(5)).to eq "hello"
      [client, server]
    end
  end

  # Logged once a minute at most, in the example that runs first.
  def used_up
    "WARN Cannot connect to #{backend.address}: Cannot assign requested address"
  end

  it "the dial is retried, and succeeds when a port is free" do
    held = use_up
    request = ScriptedProxy.route_to(backend, retries: 1000)
    late = connect.write(request)
    proxy.await("WARN Retrying connection with #{backend.address} (#1)")
    held.first.last.reset
    server = backend.accept
    expect(server.read(request.size)).to eq request
    server.write("reply").close
    expect(late.read_all).to eq "reply"
    @expected_problems = problems
    expect(@expected_problems - [used_up]).to eq retry_lines(backend, 1..(@expected_problems - [used_up]).size)
  end

  it "a connection to itself is not taken for a backend" do
    @network.local_ports = (50_009..50_009)
    expect(connect.write("{ :remote => '127.0.0.1:50009', :retries => 0 }\n").read_all).to eq ""
    @network.local_ports = (32_768..60_999)
    expect(problems).to match [/\AERROR Connect 127\.0\.0\.1:50009 failed/]
    expect_problems(*problems)
  end

  it "the dial fails after eleven attempts, and other connections are served" do
    held = use_up
    expect(connect.write(ScriptedProxy.route_to(backend)).read_all).to eq ""
    expect_problems(*[used_up] & problems, *retry_lines(backend, 1..10),
                    "ERROR Connect #{backend.address} failed after ten attempts.")
    held.each do |client, server|
      server.write("still there")
      expect(client.read(11)).to eq "still there"
    end
    expect(ask("{ :close => 'served' }\n")).to eq "served"
  end
end
