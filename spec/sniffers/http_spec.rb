# frozen_string_literal: true

RSpec.describe "ProxyMachine::HTTP.request" do
  def request(data)
    ProxyMachine::HTTP.request(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::HTTP.request(data) },
                  "http/curl" => 155, "http/curl_post" => 153, "http/curl_to_proxy" => 139,
                  "http/curl_connect" => 124, "http/curl_http2" => 24

  it "tells what is asked for" do
    expect(request(Capture.read("http/curl"))).to have_attributes(
      method: "GET", target: "/cats?color=black", path: "/cats", version: "1.1", http2?: false, size: 155,
      host: "www.example.com", port: be_an(Integer), authority: start_with("www.example.com:")
    )
    expect({ "shop.example.com" => 1 }[request(Capture.read("http/curl_post")).host]).to eq 1
  end

  it "finds headers whatever their case, and joins those that are repeated" do
    found = request(Capture.read("http/curl"))
    expect(found.header("user-AGENT")).to start_with "curl/"
    expect(found.header(:accept)).to eq "*/*"
    expect(found.header("cookie")).to be_nil
    expect(found.headers).to include("accept" => "*/*", "x-forwarded-for" => "10.0.0.1, 10.0.0.2")
  end

  it "tells HTTP/2 apart" do
    expect(request(Capture.read("http/curl_http2")))
      .to have_attributes(http2?: true, version: "2", method: nil, path: nil, host: nil, headers: {}, size: 24)
  end

  it "takes the host of the target before that of the header" do
    expect(request("GET http://a.example/x HTTP/1.0\r\nHost: b.example:81\r\n\r\n"))
      .to have_attributes(host: "a.example", port: nil, path: "/x", version: "1.0")
    expect(request(Capture.read("http/curl_connect")))
      .to have_attributes(host: "www.example.com", port: 8443, path: nil)
  end

  it "has no brackets around an IPv6 address" do
    expect(request("GET / HTTP/1.1\r\nHost: [::1]:81\r\n\r\n"))
      .to have_attributes(host: "::1", port: 81, authority: "[::1]:81")
  end

  it "has no host where there is none, or none that is valid" do
    expect(request("GET / HTTP/1.0\r\n\r\n")).to have_attributes(host: nil, port: nil, authority: nil, headers: {})
    expect(request("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")).to have_attributes(host: nil, headers: { "host" => "a/b" })
  end

  it "refuses a request with two hosts" do
    expect(request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).to be_nil
  end

  it "has values in UTF-8 where they are that, binary otherwise" do
    headers = request("GET / HTTP/1.1\r\nA: caf\u00E9\r\nB: caf\xE9\r\nB: x\r\n\r\n".b).headers
    expect(headers).to eq("a" => "caf\u00E9", "b" => "caf\xE9, x".b)
    expect(headers.values.map(&:encoding)).to eq [Encoding::UTF_8, Encoding::BINARY]
  end

  it "says at once that a line without a request in it is none" do
    ["PING\r", "SSH-2.0-OpenSSH_9.2\r", "GET / HTTP/3", "hello, world ", "\r\nGET / HTTP/1.1\r\n"].each do |data|
      expect(request(data)).to be_nil
    end
  end
end
