# frozen_string_literal: true

# BEYOND.md, section 2: which server of an upstream a connection gets.
RSpec.describe "Upstream choice:" do
  def start(servers, options = "", answer = ":db")
    list = servers.map { |server| server.address.inspect }.join(", ")
    ProxyProcess.start("upstream :db, #{list}#{options}\nproxy { |data, client| #{answer} }\n")
  end

  def named(count)
    Array.new(count) { |index| Backends.once(index.to_s) }
  end

  it "an answer is the name, or has it in :remote or in a list" do
    server = Backends.once("a")
    ["data == 'x' ? :db : :noop", "{ :remote => :db }",
     "{ :remote => [#{refused_address.inspect}, :db] }"].each do |answer|
      expect(ask("x", start([server], "", answer))).to eq "a:x"
    end
  end

  it "a name that no upstream has is an invalid remote" do
    proxy = start(named(1), "", "data == 'x' ? :web : { :remote => :web }")
    expect([ask("x", proxy), ask("y", proxy)]).to eq ["", ""]
    expect(proxy.errors.join("\n").scan(/invalid remote :web: .*no upstream has that name/).size).to eq 2
  end

  it "a Symbol with a port is still a remote" do
    server = Backends.once("a")
    expect(ask("x", start([server], "", "{ :remote => #{server.address.to_sym.inspect} }"))).to eq "a:x"
  end

  it ":least gives each server a share" do
    proxy = start(named(3))
    answers = Array.new(60) { ask("x", proxy)[0] }.tally
    expect(answers.keys).to contain_exactly("0", "1", "2")
  end

  it ":least prefers the server with fewer connections for its weight" do
    servers = Array.new(2) { Backends.echo }
    proxy = start(servers, ", :weights => { #{servers[0].address.inspect} => 3 }")
    clients = Array.new(40) { connect(proxy).write("x").tap { |client| client.read(1) } }
    expect(servers[0].sessions.size).to be_between(28, 32)
    clients.each(&:close)
  end

  it "a weight of 0 takes nothing new" do
    servers = named(2)
    proxy = start(servers, ", :weights => { #{servers[1].address.inspect} => 0 }")
    expect(Array.new(10) { ask("x", proxy)[0] }.uniq).to eq ["0"]
  end

  it ":ordered takes the first that is up" do
    servers = named(2)
    expect(Array.new(5) { ask("x", start(servers, ", :balance => :ordered")) }.uniq).to eq ["0:x"]
  end

  it "the options of the upstream count unless the answer has its own" do
    server = Backends.reply_at_eof("a")
    proxy = start([server], ", :proxy_protocol => 1", "data == 'x' ? :db : { :remote => :db, :proxy_protocol => 2 }")
    replies = %w[x y].map { |text| connect(proxy).write(text).finish.read_all }
    expect(replies[0]).to start_with("a:PROXY TCP4 127.0.0.1 ").and end_with("x")
    expect(replies[1]).to start_with("a:\r\n\r\n\0\r\nQUIT\n".b).and end_with("y")
  end

  describe "keys" do
    def homes(proxy, keys = 0...100)
      keys.to_h { |key| [key, ask("key-#{key}", proxy)[/\A\d+/]] }
    end

    let(:servers) { named(4) }
    let(:answer) { "{ :remote => :db, :key => data.to_sym }" }

    it "the same key gets the same server, in any order of the list, in another process" do
      one = homes(start(servers, "", answer))
      expect(one.values.uniq.size).to eq 4
      expect(homes(start(servers.reverse, "", answer))).to eq one
    end

    it "a server that leaves moves its own keys only" do
      before = homes(start(servers, "", answer))
      after = homes(start(servers.first(3), "", answer))
      moved = before.keys.reject { |key| before[key] == after[key] }
      expect(moved.map { |key| before[key] }.uniq).to eq ["3"]
      expect(moved.size).to be <= 40
    end

    it "a popular key overflows when its server has more than 1.25 of the mean, but not below 8" do
      servers = Array.new(2) { Backends.echo }
      proxy = start(servers, "", "{ :remote => :db, :key => 1 }")
      clients = Array.new(9) { connect(proxy).write("x").tap { |client| client.read(1) } }
      expect(servers.map { |server| server.sessions.size }.sort).to eq [1, 8]
      clients.each(&:close)
    end
  end
end
