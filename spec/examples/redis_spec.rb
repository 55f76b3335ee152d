# frozen_string_literal: true

RSpec.describe "examples/redis.rb:" do
  running(:nginx) { Nginx.start("blue", "green", "default") }
  running(:redis) { RedisServer.start }
  running(:proxy) { follower(redis) }

  def started(port)
    ExampleConfig.start("redis", "ROUTES_REDIS" => "redis://127.0.0.1:#{port}", "ROUTES_DEFAULT" => nginx["default"])
  end

  # Starts a proxy and waits for its subscription to changes.
  def follower(redis)
    started(redis.port).tap { await_follower(redis) }
  end

  def await_follower(redis)
    eventually { redis.cli("PUBSUB", "NUMSUB", "routes").end_with?("1") }
  end

  # Returns the nginx that a real curl reaches.
  def server(host, proxy = self.proxy)
    Curl.get("--header", "Host: #{host}", "http://127.0.0.1:#{proxy.port}/")[/\A\w+/]
  end

  def route(host, name, redis = self.redis)
    redis.cli("HSET", "routes", host, nginx[name])
  end

  def look_ups
    redis.cli("INFO", "commandstats")[/cmdstat_hget:calls=(\d+)/, 1].to_i
  end

  it "routes a real curl to the server in Redis" do
    route("one.test", "blue")
    route("two.test", "green")
    expect([server("one.test"), server("TWO.test:8080")]).to eq %w[blue green]
  end

  it "caches the server" do
    route("often.test", "blue")
    server("often.test")
    expect { 5.times { expect(server("often.test")).to eq "blue" } }.not_to(change { look_ups })
    route("often.test", "green")
    expect(server("often.test")).to eq "blue"
  end

  it "a published change drops the cached server of that host only" do
    %w[moved.test still.test].each do |host|
      route(host, "blue")
      server(host)
      route(host, "green")
    end
    redis.cli("PUBLISH", "routes", "moved.test")
    eventually { server("moved.test") == "green" }
    expect(server("still.test")).to eq "blue"
  end

  it "routes an unknown host to the default server without caching it" do
    expect(server("new.test")).to eq "default"
    route("new.test", "blue")
    expect(server("new.test")).to eq "blue"
    redis.cli("HDEL", "routes", "new.test")
    redis.cli("PUBLISH", "routes", "new.test")
    eventually { server("new.test") == "default" }
  end

  it "uses the cache while Redis is down, and subscribes again afterwards" do
    first = RedisServer.start
    proxy = follower(first)
    route("known.test", "blue", first)
    expect(server("known.test", proxy)).to eq "blue"
    first.stop
    proxy.await(/\AWARN Routes are not followed: /)
    expect(server("known.test", proxy)).to eq "blue"
    expect(server("unknown.test", proxy)).to eq "default"

    second = RedisServer.new(first.port)
    expect(second).to be_ready
    await_follower(second)
    route("known.test", "green", second)
    second.cli("PUBLISH", "routes", "known.test")
    eventually { server("known.test", proxy) == "green" }
    expect(server("known.test", proxy)).to eq "green"
  end

  it "a hanging Redis delays a connection only briefly" do
    hanging = RedisServer.start
    proxy = follower(hanging)
    route("known.test", "blue", hanging)
    server("known.test", proxy)
    hanging.signal(:STOP)
    expect(server("unknown.test", proxy)).to eq "default"
    proxy.await(/\AWARN Redis does not answer: /)
    expect(server("known.test", proxy)).to eq "blue"
  end

  it "starts without Redis" do
    expect(server("any.test", started(Daemon.free_ports(1).first))).to eq "default"
  end
end
