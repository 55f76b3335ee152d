# frozen_string_literal: true

RSpec.describe "ProxyMachine::TLS.client_hello" do
  def hello(data)
    ProxyMachine::TLS.client_hello(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::TLS.client_hello(data) },
                  "tls/openssl" => 322, "tls/openssl_tls12_alpn" => 231, "tls/openssl_without_sni" => 297,
                  "tls/openssl_in_three_records" => 1058, "tls/curl" => 517

  it "returns the server name as a String that is a Hash key like a literal" do
    expect({ "shop.example.com" => 1 }[hello(Capture.read("tls/openssl")).sni]).to eq 1
    expect(hello(Capture.read("tls/openssl")).sni.encoding).to eq Encoding::UTF_8
    expect(hello(Capture.read("tls/openssl_without_sni")).sni).to be_nil
  end

  it "returns the offered protocols" do
    expect(hello(Capture.read("tls/curl")).alpn).to eq %w[h2 http/1.1]
    expect(hello(Capture.read("tls/openssl")).alpn).to eq []
    expect(hello(Capture.read("tls/openssl_in_three_records")).alpn.last).to eq "protocol-60"
  end

  it "returns the offered versions" do
    expect(hello(Capture.read("tls/curl")).versions).to eq ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"]
    expect(hello(Capture.read("tls/openssl_tls12_alpn")).versions).to eq ["TLS 1.2"]
  end

  it "returns an unknown version as its number, and leaves GREASE out" do
    data = Capture.read("tls/openssl")
    data["\x03\x04\x03\x03\x03\x02\x03\x01".b] = "\x7F\x1C\xFA\xFA\x03\x02\x03\x01".b
    expect(hello(data).versions).to eq ["0x7f1c", "TLS 1.1", "TLS 1.0"]
  end

  it "returns a protocol that is not UTF-8 as a binary String" do
    data = Capture.read("tls/curl")
    data["\x08http/1.1".b] = "\x08http/1.\xFF".b
    expect(hello(data).alpn).to eq ["h2", "http/1.\xFF".b]
  end

  it "returns the server name in its normal form, and as written" do
    { "SHOP.example.com" => "shop.example.com", "Shop.example.co." => "shop.example.co",
      "-_hop-.~xample.1" => "-_hop-.~xample.1" }.each do |written, normal|
      data = Capture.read("tls/openssl")
      data["shop.example.com"] = written
      expect(hello(data)).to have_attributes(sni: normal, raw_sni: written)
    end
  end

  it "returns no server name if it is not a host name" do
    ["shop/example\0com", "shop.example..om", ".hop.example.com", "shop.example.c..", "shop.example:443",
     "sh\xC3\xB6p.example.co"].each do |written|
      data = Capture.read("tls/openssl")
      data["shop.example.com".b] = written.b
      expect(hello(data)).to have_attributes(sni: nil, raw_sni: written.dup.force_encoding("UTF-8"), alpn: [])
    end
    expect(hello(Capture.read("tls/openssl_without_sni"))).to have_attributes(sni: nil, raw_sni: nil)
  end

  it "parses a ClientHello in records of one byte" do
    message = Capture.read("tls/openssl")[5..]
    expect(hello(message.each_char.map { |byte| "\x16\x03\x01\x00\x01#{byte}".b }.join).sni).to eq "shop.example.com"
  end
end
