# frozen_string_literal: true

require "json"

# `proxy { |data, client| ... }`: the client object.
RSpec.describe "Client object:" do
  before(:context) { @dir = Dir.mktmpdir("proxymachine-spec") }
  after(:context) { FileUtils.rm_rf(@dir) }

  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      require "json"
      listen "unix:#{@dir}/named.sock", :name => :local
      listen "unix:#{@dir}/nameless.sock"
      listen "127.0.0.1:0", :name => :front, :proxy_protocol => ["127.0.0.0/8"]
      proxy do |_, client|
        { :close => JSON.generate(
          :ip => client.ip, :port => client.port, :local_ip => client.local_ip, :local_port => client.local_port,
          :listener => client.listener.inspect, :text => client.to_s,
          :tlvs => client.tlvs.map { |type, value| [type, value.unpack1("H*"), value.encoding.to_s] }
        ) }
      end
    RUBY
  end

  def told(client, text = "x")
    JSON.parse(client.write(text).read_all, symbolize_names: true)
  end

  it "has the client's address and the local address" do
    client = connect_from("127.0.0.7", proxy.port)
    expect(told(client)).to eq(
      ip: "127.0.0.7", port: client.socket.local_address.ip_port, local_ip: "127.0.0.1", local_port: proxy.port,
      listener: '"127.0.0.1:0"', text: "127.0.0.7:#{client.socket.local_address.ip_port}", tlvs: []
    )
  end

  it "has no address on a Unix socket, only the listener's name or address" do
    nothing = { ip: nil, port: nil, local_ip: nil, local_port: nil, tlvs: [] }
    expect(told(UnixClient.new("#{@dir}/named.sock"))).to eq(listener: ":local", text: "local", **nothing)
    nameless = "unix:#{@dir}/nameless.sock"
    expect(told(UnixClient.new("#{@dir}/nameless.sock")))
      .to eq(listener: nameless.inspect, text: nameless, **nothing)
  end

  it "has the addresses of a PROXY header, and its TLVs as bytes" do
    front = listen_addresses(proxy).last[/\d+\z/].to_i
    addresses = [192, 0, 2, 1, 198, 51, 100, 2, 1111, 443].pack("C8n2")
    tlvs = [2, 12, "blue.example", 0xE0, 2, "\xFF\0".b].pack("Cna*Cna*")
    header = "\r\n\r\n\0\r\nQUIT\n\x21\x11".b + [addresses.size + tlvs.size].pack("n") + addresses + tlvs
    expect(told(Client.new(front), "#{header}x")).to eq(
      ip: "192.0.2.1", port: 1111, local_ip: "198.51.100.2", local_port: 443, listener: ":front",
      text: "192.0.2.1:1111",
      tlvs: [[2, "blue.example".unpack1("H*"), "ASCII-8BIT"], [0xE0, "ff00", "ASCII-8BIT"]]
    )
    expect(told(Client.new(front), "PROXY TCP6 2001:db8::1 2001:db8::2 5 6\r\nx"))
      .to include(ip: "2001:db8::1", port: 5, local_ip: "2001:db8::2", local_port: 6, tlvs: [])
  end

  it "has every value of a repeated TLV" do
    proxy = ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.0/8"]
      proxy { |_, client| { :close => [client.tlvs, client.all_tlvs].inspect } }
    RUBY
    tlvs = [[5, 1, "a"], [2, 1, "b"], [5, 1, "c"]].map { |tlv| tlv.pack("Cna*") }.join
    header = "\r\n\r\n\0\r\nQUIT\n\x21\0".b + [tlvs.size].pack("n") + tlvs
    expect(ask("#{header}x", proxy)).to eq [{ 5 => "c", 2 => "b" }, [[5, "a"], [2, "b"], [5, "c"]]].inspect
  end

  it "has the socket's addresses if a PROXY header has none" do
    front = listen_addresses(proxy).last[/\d+\z/].to_i
    expect(told(Client.new(front), "PROXY UNKNOWN\r\nx")).to include(ip: "127.0.0.1", local_port: front)
  end

  it "has the seconds from accept to this call" do
    proxy = ProxyProcess.start(<<~RUBY)
      ages = []
      proxy { |data, client| ages << client.age; data == "x" ? :noop : { :close => ages.join(" ") } }
    RUBY
    client = connect(proxy).write("x")
    proxy.await(answer_log_line(client, :noop))
    sleep 0.05
    first, second = client.write("y").read_all.split.map(&:to_f)
    expect(first).to be_between(0, Eventually::DEADLINE)
    expect(second - first).to be_between(0.05, Eventually::DEADLINE)
  end

  it "is logged with the address of the PROXY header" do
    expect(proxy.log).not_to include "203.0.113.9"
    front = listen_addresses(proxy).last[/\d+\z/].to_i
    told(Client.new(front), "PROXY TCP4 203.0.113.9 192.0.2.2 7 8\r\nx")
    proxy.await(/\AINFO 203.0.113.9:7 /)
  end

  describe "for a block without a second parameter, it costs" do
    # Returns the number of Client objects after ten connections, and the number of getsockname calls.
    def cost(block)
      proxy = ProxyProcess.start(<<~RUBY)
        GC.disable
        #{block}
      RUBY
      calls = SystemCalls.countable?(proxy.pid) ? SystemCalls.count(proxy.pid) { 10.times { ask("x", proxy) } } : nil
      10.times { ask("x", proxy) } unless calls
      [ask("count", proxy).to_i, calls && calls["getsockname"]]
    end

    count = "{ :close => data == 'count' ? ObjectSpace.each_object(ProxyMachine::Client).count.to_s : 'x' }"

    it "no object and no system call" do
      objects, calls = cost("proxy { |data| #{count} }")
      expect(objects).to eq 0
      expect(calls || 0).to be < 5 # engine threads may call it once for their listener
    end

    it "one of each with a second parameter (a check of this measurement)" do
      objects, calls = cost("proxy { |data, client| #{count} }")
      expect(objects).to be >= 11
      expect(calls || 10).to be >= 10 # nil where processes may not be traced
    end
  end
end
