# frozen_string_literal: true

# `:key` and weights with real servers: redis and nginx.
RSpec.describe "Upstreams of real servers:" do
  describe "redis, by key" do
    running(:servers) { Array.new(3) { RedisServer.start } }

    def start(servers, **options)
      ProxyProcess.start(<<~RUBY, **options)
        upstream :cache, *#{servers.map(&:address).inspect}
        proxy { |data| { :remote => :cache, :key => data[/user:\\d+/] } }
      RUBY
    end

    def set(port, key)
      output, = Open3.capture2e("redis-cli", "-p", port.to_s, "set", key, "1")
      raise output unless output == "OK\n"
    end

    # The keys of each server.
    def keys
      servers.map { |server| server.cli("keys", "*").split("\n").sort }
    end

    it "finds each key at the same server, in every worker, in any order, and after a reload" do
      one = start(servers)
      40.times { |number| set(one.port, "user:#{number}") }
      before = keys
      expect(before.map(&:size).sum).to eq 40
      expect(before).to all(satisfy { |list| list.size >= 4 })
      others = [start(servers.reverse), start(servers.rotate, workers: 3), one.tap { |proxy| proxy.signal(:HUP) }]
      others.last.await(/\AINFO Reloaded /)
      others.each { |proxy| 40.times { |number| set(proxy.port, "user:#{number}") } }
      expect(keys).to eq before
    end
  end

  describe "nginx, by weight" do
    running(:nginx) { Nginx.start("a", "b", "c") }

    it "gives the servers their shares, and none to weight 0" do
      proxy = ProxyProcess.start(<<~RUBY)
        upstream :web, *#{%w[a b c].map { |name| nginx[name] }.inspect},
                 :weights => { #{nginx["b"].inspect} => 4, #{nginx["c"].inspect} => 0 }
        proxy { :web }
      RUBY
      # All connections are open at once, so that the choice looks at their numbers.
      clients = Array.new(100) { connect(proxy).write("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
      counts = clients.map { |client| body_of(client)[0] }.tally
      expect(counts.keys).to contain_exactly("a", "b")
      expect(counts["b"]).to be_between(65, 95)
    end

    # The body of a response, whose connection stays open.
    def body_of(client)
      response = +""
      response << client.read(1) until response.include?("\r\n\r\n")
      client.read(response[/^Content-Length: (\d+)/i, 1].to_i)
    end
  end
end
