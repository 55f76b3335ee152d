# frozen_string_literal: true

RSpec.describe "examples/http.rb:" do
  running(:nginx) { Nginx.start("blue", "api", "green", "static") }
  running(:proxy) do
    routes = {
      "blue.test/" => nginx["blue"], "blue.test/api/" => nginx["api"], "green.test/" => nginx["green"],
      "*/static/" => nginx["static"], "down.test/" => refused_address
    }
    ExampleConfig.start("http", "HTTP_ROUTES" => routes.map { |route| route.join("=") }.join(","))
  end

  def url(path)
    "http://127.0.0.1:#{proxy.port}#{path}"
  end

  def get(host, *paths, with: [])
    urls = paths.map { |path| url(path) }
    Curl.get(*with, "--header", "Host: #{host}", "--write-out", "\n", *urls).lines(chomp: true)
  end

  def status(host, path = "/", *options)
    Curl.run("--include", "--header", "Host: #{host}", *options, url(path)).first[%r{\AHTTP/1.1 (\d+) }, 1]
  end

  it "routes a real curl to the nginx of its host" do
    expect(get("blue.test", "/page")).to eq ["blue: GET blue.test /page HTTP/1.1"]
    expect(get("GREEN.test:8080", "/page?at=/api/")).to eq ["green: GET GREEN.test:8080 /page?at=/api/ HTTP/1.1"]
  end

  it "routes by the longest matching path" do
    expect(get("blue.test", "/api/cats")).to eq ["api: GET blue.test /api/cats HTTP/1.1"]
    expect(get("blue.test", "/apis")).to eq ["blue: GET blue.test /apis HTTP/1.1"]
    expect(get("red.test", "/static/logo")).to eq ["static: GET red.test /static/logo HTTP/1.1"]
  end

  it "finds the host in any of its notations" do
    expect(get("Blue.TEST.:80", "/page")).to eq ["blue: GET Blue.TEST.:80 /page HTTP/1.1"]
    backend = Backends.once("it")
    proxy = ExampleConfig.start("http", "HTTP_ROUTES" => "foo-.test/=#{backend.address}")
    expect(ask("\r\nGET /\xE9 HTTP/1.2\r\nHost: foo-.test\r\n\r\n".b, proxy))
      .to eq "it:GET /\xE9 HTTP/1.2\r\nConnection: close\r\nHost: foo-.test\r\n\r\n".b
  end

  it "refuses a request that names two hosts" do
    ["GET http://green.test/ HTTP/1.1\r\nHost: blue.test", "GET x?u=http://green.test/ HTTP/1.1\r\nHost: blue.test",
     "GET / HTTP/1.1\r\nHost: blue.test\r\nHost: green.test", "GET / HTTP/1.1\r\nHost: blue.test, green.test",
     "GET http://u@green.test/ HTTP/1.1\r\nHost: blue.test"].each do |head|
      expect(ask("#{head}\r\n\r\n")).to start_with "HTTP/1.1 400 "
    end
  end

  it "routes each request of a client, whatever its Connection header" do
    [[], %w[--header Connection:keep-alive]].each do |options|
      expect(get("blue.test", "/", "/api/", "/", with: options).map { |line| line[/\w+/] }).to eq %w[blue api blue]
    end
  end

  it "does not change the header of an upgrade" do
    backend = Backends.once("it")
    proxy = ExampleConfig.start("http", "HTTP_ROUTES" => "*/=#{backend.address}")
    request = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    expect(ask(request, proxy)).to eq "it:#{request}"
  end

  it "relays a body that arrives with the head" do
    backend = Backends.http("it")
    proxy = ExampleConfig.start("http", "HTTP_ROUTES" => "*/=#{backend.address}")
    request = "POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 19\r\n\r\nConnection: close\r\n"
    expect(ask(request, proxy)).to end_with "it: POST /up HTTP/1.1, 19 bytes"
    expect(backend.received).to eq [request.sub("\n", "\nConnection: close\r\n")]
  end

  it "answers requests without a server, or with a server that is down, itself" do
    expect(status("red.test")).to eq "404"
    expect(status("down.test")).to eq "503"
    expect(status("blue.test", "/", "--http2-prior-knowledge")).not_to eq "200"
    expect(ask("GET / HTTP/1.0\r\n\r\n")).to start_with "HTTP/1.1 400 "
    expect(ask("\x16\x03\x01".b)).to start_with "HTTP/1.1 400 "
  end
end
