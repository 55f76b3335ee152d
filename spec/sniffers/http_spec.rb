# frozen_string_literal: true

RSpec.describe "ProxyMachine::HTTP.request" do
  def request(data)
    ProxyMachine::HTTP.request(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::HTTP.request(data) },
                  "http/curl" => 155, "http/curl_post" => 153, "http/curl_to_proxy" => 139,
                  "http/curl_connect" => 124, "http/curl_http2" => 24

  it "parses the request of a real client" do
    expect(request(Capture.read("http/curl"))).to have_attributes(
      method: "GET", target: "/cats?color=black", path: "/cats", version: "1.1", http2?: false, size: 155,
      host: "www.example.com", port: be_an(Integer), authority: start_with("www.example.com:")
    )
    expect({ "shop.example.com" => 1 }[request(Capture.read("http/curl_post")).host]).to eq 1
  end

  it "finds headers in any case, and joins repeated ones" do
    found = request(Capture.read("http/curl"))
    expect(found.header("user-AGENT")).to start_with "curl/"
    expect(found.header(:accept)).to eq "*/*"
    expect(found.header("cookie")).to be_nil
    expect(found.headers).to include("accept" => "*/*", "x-forwarded-for" => "10.0.0.1, 10.0.0.2")
  end

  it "recognizes the preface of HTTP/2" do
    expect(request(Capture.read("http/curl_http2")))
      .to have_attributes(http2?: true, version: "2", method: nil, path: nil, host: nil, headers: {}, size: 24)
  end

  it "returns the host of the target if it has one" do
    expect(request("GET http://A.example/x HTTP/1.0\r\n\r\n"))
      .to have_attributes(host: "a.example", port: nil, path: "/x", version: "1.0")
    expect(request("GET http://a.example/x HTTP/1.1\r\nHost: A.example.:80\r\n\r\n"))
      .to have_attributes(host: "a.example", port: nil, authority: "a.example")
    expect(request(Capture.read("http/curl_connect")))
      .to have_attributes(host: "www.example.com", port: 8443, path: nil)
  end

  it "returns nil if the target and the Host header differ" do
    ["b.example", "a.example:81", "", "a b", "a.example, b.example"].each do |host|
      expect(request("GET http://a.example/ HTTP/1.1\r\nHost: #{host}\r\n\r\n")).to be_nil
      expect(request("CONNECT a.example:443 HTTP/1.1\r\nHost: #{host}\r\n\r\n")).to be_nil
    end
  end

  it "returns nil for a target of no form" do
    ["x?u=http://evil.test/", "evil.test:80", "http:evil.test", "*"].each do |target|
      expect(request("GET #{target} HTTP/1.1\r\nHost: blue.test\r\n\r\n")).to be_nil
    end
    expect(request("OPTIONS * HTTP/1.1\r\nHost: blue.test\r\n\r\n").host).to eq "blue.test"
  end

  it "returns the host in its normal form, and the authority as written" do
    { "Blue.TEST" => ["blue.test", nil], "blue.test." => ["blue.test", nil], "blue.test.:080" => ["blue.test", 80],
      "foo-.test" => ["foo-.test", nil], "-a_b~c.test" => ["-a_b~c.test", nil], "[::1]:81" => ["::1", 81],
      "[2001:DB8:0::1]" => ["2001:db8::1", nil], "[fe80::1%25eth0]" => ["fe80::1", nil] }.each do |written, expected|
      found = request("GET / HTTP/1.1\r\nHost: #{written}\r\n\r\n")
      expect([found.host, found.port]).to eq expected
      expect(found.authority).to eq written
    end
  end

  it "skips empty lines before the request, and counts them in the size" do
    expect(request("\r\n")).to eq :incomplete
    expect(request("\r\n\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nbody")).to have_attributes(host: "a", path: "/x", size: 31)
  end

  it "accepts any minor version of HTTP/1" do
    expect(request("GET / HTTP/1.2\r\nHost: a\r\n\r\n")).to have_attributes(version: "1.2", host: "a", http2?: false)
    expect(request("GET / HTTP/1.10\r\nHost: a\r\n\r\n")).to be_nil
  end

  it "accepts bytes above 127 in the target" do
    expect(request("GET /caf\xE9?\xFF HTTP/1.1\r\nHost: a\r\n\r\n".b))
      .to have_attributes(target: "/caf\xE9?\xFF".b, path: "/caf\xE9".b, host: "a")
    expect(request("GET /caf\u00E9 HTTP/1.1\r\nHost: a\r\n\r\n".b).path).to eq "/caf\u00E9"
  end

  it "returns no host if there is none, or an invalid one" do
    expect(request("GET / HTTP/1.0\r\n\r\n")).to have_attributes(host: nil, port: nil, authority: nil, headers: {})
    expect(request("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")).to have_attributes(host: nil, headers: { "host" => "a/b" })
  end

  it "returns nil for a request with two Host headers" do
    expect(request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).to be_nil
  end

  it "returns values in UTF-8 if they are valid, otherwise binary" do
    headers = request("GET / HTTP/1.1\r\nA: caf\u00E9\r\nB: caf\xE9\r\nB: x\r\n\r\n".b).headers
    expect(headers).to eq("a" => "caf\u00E9", "b" => "caf\xE9, x".b)
    expect(headers.values.map(&:encoding)).to eq [Encoding::UTF_8, Encoding::BINARY]
  end

  it "returns nil before the end of a line that is not a request line" do
    ["PING\r", "SSH-2.0-OpenSSH_9.2\r", "GET / HTTP/3", "hello, world ", "\r\n GET", "\r\r"].each do |data|
      expect(request(data)).to be_nil
    end
  end
end
