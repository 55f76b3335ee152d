# frozen_string_literal: true

require_relative "../../lib/proxymachine/rspec"

# Tests of the examples as routers, without a server. The other specs here let real programs connect.
RSpec.describe "Routers of the examples:" do
  def example(name, environment = {})
    level = LOGGER.level
    LOGGER.level = :fatal
    yield ExampleRouter.load(name, environment)
  ensure
    LOGGER.level = level
  end

  def http(line, *headers)
    "#{[line, *headers].join("\r\n")}\r\n\r\n"
  end

  # Inputs at the limits of the examples.
  def made_up
    [http("GET /#{"x" * 3000} HTTP/1.1"), http("GET / HTTP/1.1", "Host: blue.test", "X: #{"x" * 20_000}"),
     http("GET / HTTP/1.1", "Host: blue.test", "Content-Length: 4").concat("body"),
     "\r\n\r\nGET / HTTP/1.0\r\n\r\n", "\4\1\0P\1\2\3\4#{"u" * 300}\0rest".b, "x" * 5000, "\x16\3\1\2\0",
     "\0" * 300]
  end

  # Threads that a config has started end with the example.
  around do |example|
    before = Thread.list
    example.run
  ensure
    (Thread.list - before).each(&:kill).each(&:join)
  end

  ExampleRouter.names.each do |name|
    it "#{name} decides about whatever clients send alike, however it is cut" do
      skip_without_gems(ExampleRouter.source(name))
      example(name, "ROUTES_REDIS" => "redis://127.0.0.1:1") do |router|
        [*ExampleRouter.captures.values, *made_up].each { |bytes| expect(router).to decide_alike_however_cut(bytes) }
      end
    end
  end

  it "canary sends a part of the clients to the new version, and always the same" do
    example("canary", "CANARY" => "new:80", "STABLE" => "old:80", "CANARY_PERCENT" => "30") do |router|
      addresses = Array.new(250) { |number| "10.0.0.#{number}" }
      remotes = addresses.to_h { |ip| [ip, router.decide("", ip: ip).remote] }
      expect(remotes.values.count("new:80")).to be_between(40, 110)
      addresses.each { |ip| expect(router).to route("", ip: ip).to(remotes[ip]) }
      expect(router).to route("", ip: remotes.key("new:80")).to("new:80", "old:80")
    end
  end

  it "demo routes by the first word of the path" do
    example("demo", "DEMO_ROUTES" => "cats=a:1,dogs=b:2") do |router|
      expect(router).to route(http("GET /cats HTTP/1.1")).to("a:1")
      expect(router).to route(http("GET /dogs/1?x HTTP/1.0")).to("b:2")
      expect(router).to close(http("GET /mice HTTP/1.1")).with(%r{\AHTTP/1.1 404 .*no server for /mice}m)
      expect(router).to close("hello\n").with(%r{\AHTTP/1.1 400 })
      expect(router).to close("G" * 2049).with(/ 400 .*too long/m)
      expect(router).to wait_for("GET /cats HTTP/1.1\r")
    end
  end

  it "git routes by the owner of the repository" do
    example("git", "GIT_ROUTES" => "alice=a:1") do |router|
      request = ->(path) { "#{(path.size + 30).to_s(16).rjust(4, "0")}git-upload-pack #{path}\0host=git\0" }
      expect(router).to route(request["/alice/project.git"]).to("a:1")
      expect(router).to close(request["/carol/project.git"])
      expect(router).to wait_for(request["/alice/project.git"][0, 30])
      expect(router).to close("GET /")
    end
  end

  it "http routes by host and path, and has the server close after its response" do
    routes = "blue.test/=a:1,blue.test/api/=b:2,*/static/=c:3"
    example("http", "HTTP_ROUTES" => routes) do |router|
      expect(router).to route(http("GET / HTTP/1.1", "Host: blue.test")).to("a:1")
      expect(router).to route(http("GET /api/x HTTP/1.1", "Host: BLUE.test:80")).to("b:2")
      expect(router).to route(http("GET /static/x HTTP/1.1", "Host: any")).to("c:3")
      expect(router).to close(http("GET / HTTP/1.1", "Host: any")).with(/ 404 /)
      expect(router).to close(http("GET / HTTP/1.1")).with(/ 400 /)
      decision = router.decide("#{http("POST / HTTP/1.1", "Host: blue.test", "Connection: keep-alive")}body")
      expect(decision.data).to eq "#{http("POST / HTTP/1.1", "Connection: close", "Host: blue.test")}body"
    end
  end

  it "http_host routes by the Host header" do
    example("http_host", "HTTP_ROUTES" => "blue.test=a:1,green.test=b:2") do |router|
      expect(router).to route(http("GET / HTTP/1.1", "host: Green.Test.:8080")).to("b:2")
      expect(router).to close(http("GET / HTTP/1.1", "Host: red.test")).with(/ 404 /)
      expect(router).to close(http("GET / HTTP/1.1", "Host: blue.test", "Host: green.test")).with(/ 400 /)
      expect(router).to close("x" * 16_385).with(/ 431 /)
      expect(router).to wait_for("GET / HTTP/1.1\r\nHost: blue.test\r\n")
    end
  end

  it "limits counts by the host of the request" do
    example("limits", "HTTP_SERVER" => "a:1", "PER_SOURCE" => "10", "PER_HOST" => "20") do |router|
      decision = router.decide(http("GET / HTTP/1.1", "Host: blue.test"))
      expect([decision.remote, decision.answer[:limit]]).to eq ["a:1", { "host blue.test" => 20 }]
      busy = router.decide(http("GET / HTTP/1.1", "Host: blue.test"), connections: 6)
      expect(busy.answer[:limit]).to eq("host blue.test" => 20, "host blue.test, busy clients" => 10)
      expect(router).to close(http("GET / HTTP/1.0"))
    end
  end

  it "on_demand routes to its upstream, and starts nothing" do
    example("on_demand", "START" => "false", "SERVER" => "127.0.0.1:1") do |router|
      expect(router).to route("hello").to(:game)
    end
  end

  it "ports tells SSH, TLS and HTTP apart" do
    example("ports", "PORTS_SSH" => "s:22", "PORTS_TLS" => "t:443", "PORTS_HTTP" => "h:80") do |router|
      expect(router).to route("SSH-2.0-OpenSSH_9.2\r\n").to("s:22")
      expect(router).to route(Capture.read("tls/curl")).to("t:443")
      expect(router).to route(http("GET / HTTP/1.1", "Host: a")).to("h:80")
      expect(router).to wait_for("S")
      expect(router).to close("\0")
    end
  end

  it "postgres routes by the database, and refuses encryption and unknown databases" do
    example("postgres", "POSTGRES_CLUSTERS" => "shop=a:1") do |router|
      startup = lambda do |database|
        parameters = "user\0me\0database\0#{database}\0\0"
        [parameters.bytesize + 8, 196_608].pack("NN") + parameters
      end
      ssl_request = [8, 80_877_103].pack("NN")
      expect(router).to route(startup["shop"]).to("a:1")
      expect(router).to close(startup["other"]).with(/\AE.*database "other" has no cluster here/m)
      expect(router).to wait_for(ssl_request)
      expect(router.decide(ssl_request).reply).to eq "N"
      expect(router.decide(ssl_request + startup["shop"])).to have_attributes(remote: "a:1", data: startup["shop"])
    end
  end

  it "socks connects to the allowed ports, for all versions" do
    example("socks", "SOCKS_PORTS" => "80") do |router|
      expect(router).to route("\4\1\0P\x0A\0\0\1me\0".b).to("10.0.0.1:80")
      expect(router.decide("\5\1\0".b)).to have_attributes(waits?: true, reply: "\5\0".b)
      expect(router).to route("\5\1\0\5\1\0\1\x0A\0\0\1\0P".b).to("10.0.0.1:80")
      expect(router).to close("\5\1\0\5\1\0\1\x0A\0\0\1\0Q".b).with(/\A\x05\x02/n)
      expect(router).to close("\5\1\2".b).with("\5\xFF".b)
    end
  end

  it "socks4 connects anywhere, and sends the rest to the server" do
    example("socks4") do |router|
      decision = router.decide("\4\1\0P\x0A\0\0\1me\0GET /".b)
      expect(decision).to have_attributes(remote: "10.0.0.1:80", reply: "\0\x5a\0\0\0\0\0\0".b, data: "GET /")
      expect(router).to wait_for("\4\1\0P\x0A\0\0\1me".b)
      expect(router).to close("\4\2\0P\x0A\0\0\1me\0".b).with("\0\x5b\0\0\0\0\0\0".b)
      expect(router).to close("GET /")
    end
  end

  it "tls routes by server name and protocol" do
    routes = { "*" => "a:1", "*/h2" => "b:2" }
    example("tls", "TLS_ROUTES" => routes.map { |route| route.join("=") }.join(",")) do |router|
      expect(router).to route(Capture.read("tls/openssl_without_sni")).to("a:1")
      expect(router).to route(Capture.read("tls/curl")).to("b:2")
      expect(router).to wait_for(Capture.read("tls/curl")[0, 100])
      expect(router).to close("GET /")
    end
    example("tls", "TLS_ROUTES" => "x=a:1") do |router|
      expect(router).to close(Capture.read("tls/curl")).with("\x15\x03\x01\x00\x02\x02\x70".b)
    end
  end

  it "transparent routes every client to one server" do
    example("transparent", "UPSTREAM" => "a:1") { |router| expect(router).to route("\0").to("a:1") }
  end
end
