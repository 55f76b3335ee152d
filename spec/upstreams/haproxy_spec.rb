# frozen_string_literal: true

# The same situations with a real HAProxy and with ProxyMachine: docs/upstreams.md has the table.
RSpec.describe "Upstreams beside HAProxy:" do
  running(:servers) { %w[a b c].map { |name| Backends.echo(name) } }

  # Both proxies in front of the three servers, or of some of them.
  def both(haproxy, options, key = "", among: servers)
    lines = among.map.with_index { |server, index| "  server s#{index} #{server.address} #{haproxy[:server]}" }
    hap = Haproxy.new("listen test\n  mode tcp\n  bind fd@test\n#{haproxy.fetch(:listen)}\n#{lines.join("\n")}\n")
    machine = ProxyProcess.start(<<~RUBY)
      upstream :app, *#{among.map(&:address).inspect}#{", #{options}" unless options.empty?}
      proxy { |data, client| { :remote => :app#{key} } }
    RUBY
    { "HAProxy" => hap.port(:test), "ProxyMachine" => machine.port }
  end

  # Opens a connection and returns it with the name of its server.
  def enter(port, from: nil)
    client = Client.new(port, local_host: from)
    [client, client.write("x").read(3)[0]]
  end

  def distribution(port, count)
    opened = Array.new(count) { enter(port) }
    opened.map(&:last).tally.values_at("a", "b", "c").map(&:to_i)
  ensure
    opened&.map(&:first)&.each(&:close)
  end

  it "leastconn and :least spread open connections evenly" do
    both({ listen: "  balance leastconn" }, "").each do |name, port|
      expect(distribution(port, 60)).to all(be_between(15, 25)), name
    end
  end

  it "weights give a server its share" do
    haproxy = { listen: "  balance leastconn", server: "weight 10" }
    weights = { servers[0].address => 10, servers[1].address => 10, servers[2].address => 40 }
    ports = both(haproxy, ":weights => #{weights.inspect}")
    share = distribution(ports["ProxyMachine"], 120)
    expect(share.last).to be_between(65, 95)
    expect(distribution(ports["HAProxy"], 60)).to all be_between(15, 25)
  end

  it "balance first and :ordered take the first server that is up" do
    both({ listen: "  balance first", server: "maxconn 1000" }, ":balance => :ordered").each do |name, port|
      expect(distribution(port, 20)).to eq([20, 0, 0]), name
    end
  end

  it "consistent hashing and :key keep a client at its server when another one is removed" do
    haproxy = { listen: "  balance source\n  hash-type consistent" }
    addresses = Array.new(60) { |number| "127.0.1.#{number + 1}" }
    choose = lambda do |port|
      addresses.to_h do |address|
        client, name = enter(port, from: address)
        client.close
        [address, name]
      end
    end
    before = both(haproxy, "", ", :key => client.ip").transform_values(&choose)
    after = both(haproxy, "", ", :key => client.ip", among: servers.first(2)).transform_values(&choose)
    before.each do |name, chosen|
      expect(chosen.values.uniq).to contain_exactly("a", "b", "c"), name
      stayed = chosen.reject { |_, server| server == "c" }
      expect(after[name]).to include(stayed), name
    end
  end

  it "maxconn with timeout queue and :max_connections with :queue_timeout let clients wait for their turn" do
    haproxy = { listen: "  balance leastconn\n  timeout queue 20s", server: "maxconn 2" }
    both(haproxy, ":max_connections => 2, :queue_timeout => 20").each do |name, port|
      clients = Array.new(15) { Client.new(port).write("x") }
      served = []
      # Each client leaves when it is served, so that the next one has its turn.
      until clients.empty?
        ready, = IO.select(clients.map(&:socket), nil, nil, 20)
        expect(ready).not_to be_nil, "#{name} serves no client"
        expect(ready.size).to be <= 6, name
        done = clients.select { |client| ready.include?(client.socket) }
        served.concat(done.map { |client| client.read(3)[1..] })
        done.each(&:close)
        clients -= done
      end
      expect(served).to eq([":x"] * 15), name
    end
  end

  it "a client whose server refuses is connected to another one at once" do
    refusing = Backends.refusing
    haproxy = { listen: "  balance leastconn\n  option redispatch 1\n  retries 3" }
    ports = both(haproxy, "", among: [refusing, servers.first])
    ports.each do |name, port|
      names = Array.new(10) { enter(port).tap { |client, _| client.close }.last }
      expect(names).to all(eq("a")), name
    end
  end
end
