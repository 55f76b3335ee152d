# frozen_string_literal: true

RSpec.describe "examples/http_host.rb" do
  running(:blue) { Backends.http("blue") }
  running(:green) { Backends.http("green") }
  running(:proxy) do
    ExampleConfig.start("http_host", "HTTP_ROUTES" => "blue.test=#{blue.address},green.test=#{green.address}")
  end

  def get(host, *options)
    Curl.get("--header", "Host: #{host}", *options, "http://127.0.0.1:#{proxy.port}/page")
  end

  it "sends a real curl to the server of the host that it asks for" do
    expect(get("blue.test")).to eq "blue: GET /page HTTP/1.1, 0 bytes"
    expect(get("green.test")).to eq "green: GET /page HTTP/1.1, 0 bytes"
  end

  it "minds neither the case of the name nor a port" do
    expect(get("BLUE.test:8080")).to start_with "blue:"
  end

  it "passes the body of a POST on" do
    expect(get("green.test", "--data", "x" * 1000)).to eq "green: POST /page HTTP/1.1, 1000 bytes"
  end

  it "answers by itself for hosts that it does not know" do
    output, status = Curl.run("--include", "--header", "Host: red.test", "http://127.0.0.1:#{proxy.port}/")
    expect(output).to start_with "HTTP/1.1 404 "
    expect(status).to eq 0
  end

  it "waits for a head that comes in pieces" do
    client = connect.write("GET /slow HTTP/1.1\r\n")
    proxy.await(answer_line(client, { noop: true }))
    expect(client.write("Host: green.test\r\n\r\n").read_all).to end_with "green: GET /slow HTTP/1.1, 0 bytes"
  end

  it "answers by itself when there is no host" do
    expect(ask("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n")).to start_with "HTTP/1.1 400 "
  end
end
