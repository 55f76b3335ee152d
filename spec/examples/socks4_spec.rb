# frozen_string_literal: true

RSpec.describe "examples/socks4.rb:" do
  running(:http) { Backends.http("http") }
  running(:greeting) { Backends.greeting("server first") }
  running(:proxy) { ExampleConfig.start("socks4", {}) }

  granted = "\0\x5A\0\0\0\0\0\0".b
  rejected = "\0\x5B\0\0\0\0\0\0".b

  def request(port, version: 4, command: 1, user: "bob")
    [version, command, port, 127, 0, 0, 1, "#{user}\0"].pack("CCnC4a*")
  end

  it "routes a real curl to its destination" do
    expect(Curl.get("--socks4", "127.0.0.1:#{proxy.port}", "http://127.0.0.1:#{http.port}/page"))
      .to eq "http: GET /page HTTP/1.1, 0 bytes"
  end

  it "relays an upload" do
    Dir.mktmpdir do |dir|
      file = File.join(dir, "upload")
      File.binwrite(file, Payload.bytes(5 * 1024 * 1024))
      answer = Curl.get("--socks4", "127.0.0.1:#{proxy.port}", "--header", "Expect:", "--data-binary", "@#{file}",
                        "http://127.0.0.1:#{http.port}/up")
      expect(answer).to eq "http: POST /up HTTP/1.1, #{5 * 1024 * 1024} bytes"
    end
  end

  it "grants before the dial, and relays a server that sends first" do
    expect(connect.write(request(greeting.port)).read(8 + 12)).to eq "#{granted}server first"
  end

  it "relays data that follows the request" do
    client = connect.write("#{request(http.port)}GET /early HTTP/1.1\r\n\r\n")
    expect(client.read_all).to start_with(granted).and end_with("http: GET /early HTTP/1.1, 0 bytes")
  end

  it "waits for a request byte by byte" do
    client = connect
    request(greeting.port).each_char { |byte| client.write(byte) }
    expect(client.read(8 + 12)).to eq "#{granted}server first"
  end

  it "rejects other protocols and commands" do
    expect(ask(request(http.port, version: 5))).to eq rejected
    expect(ask(request(http.port, command: 2))).to eq rejected
    _output, status = Curl.run("--socks5", "127.0.0.1:#{proxy.port}", "http://127.0.0.1:#{http.port}/")
    expect(status).not_to eq 0
  end

  it "curl fails when the server refuses" do
    _output, status = Curl.run("--socks4", "127.0.0.1:#{proxy.port}", "http://#{refused_address}/")
    expect(status).not_to eq 0
  end
end
