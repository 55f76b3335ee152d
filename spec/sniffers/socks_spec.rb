# frozen_string_literal: true

RSpec.describe "ProxyMachine::SOCKS.request" do
  def request(data)
    ProxyMachine::SOCKS.request(data.b)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::SOCKS.request(data) },
                  "socks/curl_socks4" => 12, "socks/curl_socks4a" => 28

  it "parses a request of version 4, with its user id" do
    expect(request(Capture.read("socks/curl_socks4"))).to have_attributes(
      version: 4, command: :connect, connect?: true, host: "127.0.0.1", port: 8080, user: "bob", size: 12,
      remote: "127.0.0.1:8080"
    )
    expect(request(Capture.read("socks/curl_socks4a"))).to have_attributes(version: 4, remote: "www.example.com:80")
  end

  it "parses a request of version 5" do
    found = request(Capture.read("socks/curl_socks5h"))
    expect(found).to have_attributes(version: 5, command: :connect, port: 80, user: nil, size: 26)
    expect({ "www.example.com" => 1 }[found.host]).to eq 1
    expect(request(Capture.read("socks/curl_socks5")).remote).to eq "127.0.0.1:8080"
    expect(request(Capture.read("socks/curl_socks5_ipv6"))).to have_attributes(host: "::1", remote: "[::1]:8080")
  end

  it "returns a greeting until a byte follows it" do
    data = Capture.read("socks/curl_socks5h")
    expect((0...4).map { |count| request(data[0, count]) }.uniq).to eq [:incomplete]
    expect(request(data[0, 4])).to have_attributes(class: ProxyMachine::SOCKS::Greeting, version: 5, offered: [0, 1],
                                                   acceptable?: true, reply: "\x05\x00".b)
    expect((5...26).map { |count| request(data[0, count]) }.uniq).to eq [:incomplete]
    expect(request("\x05\x01\x02")).to have_attributes(acceptable?: false, reply: "\x05\xFF".b)
    expect(request("\x05\x01\x02\x01")).to be_nil
    expect(request(data[0, 4])).to be_frozen
  end

  it "parses the other commands" do
    expect(request("\x04\x02\0\x50\x7F\0\0\x01\0")).to have_attributes(command: :bind, connect?: false)
    expect(request("\x05\x01\0\x05\x03\0\x01\x7F\0\0\x01\0\x50")).to have_attributes(command: :udp_associate)
    expect(request("\x04\x03")).to be_nil
  end

  it "builds replies for version 4" do
    found = request(Capture.read("socks/curl_socks4"))
    expect(found.accepted).to eq "\0\x5A\0\0\0\0\0\0".b
    expect(found.refused).to eq "\0\x5B\0\0\0\0\0\0".b
    expect(found.refused(:identd_mismatch)).to eq "\0\x5D\0\0\0\0\0\0".b
    expect(found.refused(:host_unreachable)).to eq "\0\x5B\0\0\0\0\0\0".b
  end

  it "builds replies for version 5" do
    found = request(Capture.read("socks/curl_socks5"))
    expect(found.accepted).to eq "\x05\0\0\x01\0\0\0\0\0\0".b
    expect(found.refused).to eq "\x05\x01\0\x01\0\0\0\0\0\0".b
    expect(found.refused(:not_allowed)).to eq "\x05\x02\0\x01\0\0\0\0\0\0".b
    expect(found.refused(:command_not_supported)).to eq "\x05\x07\0\x01\0\0\0\0\0\0".b
    expect([found.accepted, found.refused].map(&:encoding)).to all eq Encoding::BINARY
  end

  it "raises an ArgumentError for an unknown reason" do
    expect { request(Capture.read("socks/curl_socks5")).refused(:bored) }.to raise_error(ArgumentError, /:bored/)
  end

  it "returns a host name in its normal form, and as written" do
    found = request("\x05\x01\0\x05\x01\0\x03\x0BBlue-.TEST.\0\x50")
    expect(found).to have_attributes(host: "blue-.test", raw_host: "Blue-.TEST.", remote: "blue-.test:80")
    expect(request(Capture.read("socks/curl_socks5"))).to have_attributes(host: "127.0.0.1", raw_host: "127.0.0.1")
  end

  it "returns the remote in the normal form of its host" do
    remote = ->(host) { request("\x04\x01\0\x50\0\0\0\x01\0#{host}\0").remote }
    expect(["db.", "db", "127.0.0.1.", "::FFFF:A0", "[::1]", "a1.b2."].map(&remote))
      .to eq ["db:80", "db:80", "127.0.0.1:80", "[::ffff:a0]:80", "[::1]:80", "a1.b2:80"]
  end

  it "returns nil for an invalid host name" do
    ["a b", "a..b", ".", "a..", "fe80::1%lo", "[a]", "a:80"].each do |host|
      expect(request("\x04\x01\0\x50\0\0\0\x01\0#{host}\0")).to be_nil
    end
    expect(request("\x05\x01\0\x05\x01\0\x03\x03a/b")).to be_nil
  end
end
