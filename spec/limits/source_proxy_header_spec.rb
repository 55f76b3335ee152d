# frozen_string_literal: true

# The limits by source behind a load balancer: the source is the one of the PROXY header.
RSpec.describe "Limits by source after a PROXY header:" do
  running(:proxy) do
    ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :name => :direct
      listen "127.0.0.1:0", :name => :balanced, :proxy_protocol => ["127.0.0.0/8"]
      max_connections_per_source 2
      exempt_sources "2001:db8:ffff::/48", "198.51.100.0/24"
      proxy_accept { |client| LOGGER.info("asked about \#{client}"); :noop }
      proxy { |data, client| { :close => "\#{client.ip} \#{client.connections}" } }
    RUBY
  end

  let(:port) { listen_addresses(proxy).last[/\d+\z/].to_i }

  # A client with this address, behind the load balancer.
  def client_of(address)
    family, local = address.include?(":") ? ["TCP6", "2001:db8::1"] : ["TCP4", "192.0.2.1"]
    Client.new(port).write("PROXY #{family} #{address} #{local} 4711 443\r\n")
  end

  # Waits until a block has heard of the client.
  def hold(address)
    asked = proxy.lines.grep(/asked about/).size
    client_of(address).tap { eventually { proxy.lines.grep(/asked about/).size > asked } }
  end

  after { eventually { proxy.connections&.zero? } }

  {
    "an IPv4 address" => ["203.0.113.7", "203.0.113.7", "203.0.113.8"],
    "an IPv6 /64" => ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"],
    "an IPv4-mapped address is its IPv4 address" => ["::ffff:203.0.113.9", "203.0.113.9", "::ffff:203.0.113.10"]
  }.each do |what, (first, second, other)|
    it "counts #{what}" do
      held = [hold(first), hold(second)]
      expect(client_of(first)).to be_ended
      expect(client_of(second)).to be_ended
      expect(client_of(other).write("x").read_all).to end_with " 1"
      expect(held.last.write("x").read_all).to end_with " 2"
      held.each(&:close)
    end
  end

  it "no block hears of what is over the limit, nor does the INFO log" do
    held = Array.new(2) { hold("203.0.113.20") }
    5.times { expect(client_of("203.0.113.20")).to be_ended }
    expect(proxy.settle.lines.grep(/203\.0\.113\.20:/).grep(/asked about/).size).to eq 2
    expect(proxy.lines.grep(/INFO Accepted 203\.0\.113\.20:4711/).size).to eq 2
    held.each(&:close)
  end

  it "the header may come with the first bytes, or byte by byte" do
    held = Array.new(2) { hold("203.0.113.21") }
    expect(client_of("203.0.113.21").write("GET / HTTP/1.1\r\n")).to be_ended
    client = Client.new(port)
    "PROXY TCP4 203.0.113.21 192.0.2.1 4711 443\r\n".each_char { |char| client.write(char) }
    expect(client).to be_ended
    held.each(&:close)
  end

  it "exempt are addresses of the header, and the load balancer has no limit" do
    clients = %w[2001:db8:ffff::1 198.51.100.7].flat_map { |address| Array.new(4) { client_of(address) } }
    expect(clients.map { |client| client.write("x").read_all[/\d+\z/].to_i }).to all(be >= 1)
    silent = Array.new(5) { Client.new(port) }
    sleep 0.1
    expect(silent).to all(be_quiet)
    silent.each(&:close)
  end
end
