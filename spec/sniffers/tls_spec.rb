# frozen_string_literal: true

RSpec.describe "ProxyMachine::TLS.client_hello" do
  def hello(data)
    ProxyMachine::TLS.client_hello(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::TLS.client_hello(data) },
                  "tls/openssl" => 322, "tls/openssl_tls12_alpn" => 231, "tls/openssl_without_sni" => 297,
                  "tls/openssl_in_three_records" => 1058, "tls/curl" => 517

  it "tells the name, as a key like any literal" do
    expect({ "shop.example.com" => 1 }[hello(Capture.read("tls/openssl")).sni]).to eq 1
    expect(hello(Capture.read("tls/openssl")).sni.encoding).to eq Encoding::UTF_8
    expect(hello(Capture.read("tls/openssl_without_sni")).sni).to be_nil
  end

  it "tells the protocols that are offered" do
    expect(hello(Capture.read("tls/curl")).alpn).to eq %w[h2 http/1.1]
    expect(hello(Capture.read("tls/openssl")).alpn).to eq []
    expect(hello(Capture.read("tls/openssl_in_three_records")).alpn.last).to eq "protocol-60"
  end

  it "tells the versions that are offered" do
    expect(hello(Capture.read("tls/curl")).versions).to eq ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"]
    expect(hello(Capture.read("tls/openssl_tls12_alpn")).versions).to eq ["TLS 1.2"]
  end

  it "shows a version without a name by its number, and skips those that mean nothing" do
    data = Capture.read("tls/openssl")
    data["\x03\x04\x03\x03\x03\x02\x03\x01".b] = "\x7F\x1C\xFA\xFA\x03\x02\x03\x01".b
    expect(hello(data).versions).to eq ["0x7f1c", "TLS 1.1", "TLS 1.0"]
  end

  it "has a binary String for a protocol that is no UTF-8" do
    data = Capture.read("tls/curl")
    data["\x08http/1.1".b] = "\x08http/1.\xFF".b
    expect(hello(data).alpn).to eq ["h2", "http/1.\xFF".b]
  end

  it "keeps the case of a name, and takes none that is no name of a host" do
    data = Capture.read("tls/openssl")
    data["shop.example.com"] = "SHOP.example.com"
    expect(hello(data).sni).to eq "SHOP.example.com"
    data["SHOP.example.com"] = "shop/example\0com"
    expect(hello(data)).to have_attributes(sni: nil, alpn: [])
  end

  it "takes a hello apart into records of one byte" do
    message = Capture.read("tls/openssl")[5..]
    expect(hello(message.each_char.map { |byte| "\x16\x03\x01\x00\x01#{byte}".b }.join).sni).to eq "shop.example.com"
  end
end
