# frozen_string_literal: true

RSpec.describe "examples/http_host.rb:" do
  running(:blue) { Backends.http("blue") }
  running(:green) { Backends.http("green") }
  running(:proxy) do
    ExampleConfig.start("http_host", "HTTP_ROUTES" => "blue.test=#{blue.address},green.test=#{green.address}")
  end

  def get(host, *options)
    Curl.get("--header", "Host: #{host}", *options, "http://127.0.0.1:#{proxy.port}/page")
  end

  it "routes a real curl by its host" do
    expect(get("blue.test")).to eq "blue: GET /page HTTP/1.1, 0 bytes"
    expect(get("green.test")).to eq "green: GET /page HTTP/1.1, 0 bytes"
  end

  it "ignores case and port of the host" do
    expect(get("BLUE.test:8080")).to start_with "blue:"
  end

  it "finds the host with a dot at its end, and after an empty line" do
    expect(get("Blue.test.:8080")).to start_with "blue:"
    backend = Backends.once("it")
    proxy = ExampleConfig.start("http_host", "HTTP_ROUTES" => "blue.test=#{backend.address}")
    request = "\r\nGET /page HTTP/1.1\r\nHost: blue.test\r\n\r\n"
    expect(ask(request, proxy)).to eq "it:#{request}"
  end

  it "refuses a request that names two hosts" do
    ["GET http://green.test/ HTTP/1.1\r\nHost: blue.test", "GET / HTTP/1.1\r\nHost: blue.test\r\nHost: green.test",
     "GET / HTTP/1.1\r\nHost: blue.test\r\nHost : green.test", "GET / HTTP/1.1\r\nHost: blue.test\r\n .green.test",
     "GET / HTTP/1.1\r\nA: b\rHost: green.test\r\nHost: blue.test"].each do |head|
      expect(ask("#{head}\r\n\r\n")).to start_with "HTTP/1.1 400 "
    end
  end

  it "relays the body of a POST" do
    expect(get("green.test", "--data", "x" * 1000)).to eq "green: POST /page HTTP/1.1, 1000 bytes"
  end

  it "answers unknown hosts itself" do
    output, status = Curl.run("--include", "--header", "Host: red.test", "http://127.0.0.1:#{proxy.port}/")
    expect(output).to start_with "HTTP/1.1 404 "
    expect(status).to eq 0
  end

  it "waits for a request head in several chunks" do
    client = connect.write("GET /slow HTTP/1.1\r\n")
    proxy.await(answer_log_line(client, { noop: true }))
    expect(client.write("Host: green.test\r\n\r\n").read_all).to end_with "green: GET /slow HTTP/1.1, 0 bytes"
  end

  it "answers a request without a host itself" do
    expect(ask("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n")).to start_with "HTTP/1.1 400 "
  end
end
