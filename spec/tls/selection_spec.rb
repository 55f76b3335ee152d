# frozen_string_literal: true

# Which certificate a real `openssl s_client` gets.
RSpec.describe "Certificate selection:" do
  # The numbers of alerts (RFC 8446, section 6).
  handshake_failure = 40
  protocol_version = 70
  unrecognized_name = 112
  no_application_protocol = 120

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    authority = CertificateAuthority.shared
    { "1" => ["first.example"], "2" => ["both.example"], "3" => ["*.wild.example"], "5" => ["exact.wild.example"] }
      .each { |file, names| authority.issue(*names).write(File.join(@dir, "#{file}.pem")) }
    authority.issue("rsa.both.example", "both.example", key: :rsa).write(File.join(@dir, "4.pem"))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  let(:proxy) { start }

  def start(options = "")
    ProxyProcess.start(<<~RUBY)
      CERTIFICATES = certificates "#{@dir}/*.pem"#{options}
      proxy { |data, client| client.tls ? { :close => "said: \#{client.tls.alpn}\\n" } : { :tls => CERTIFICATES } }
    RUBY
  end

  def subject(*options, name: nil, to: proxy)
    OpensslClient.new(to.port, *options, name: name).subject
  end

  def alert(*options, name: nil, to: proxy)
    OpensslClient.new(to.port, *options, name: name).alert
  end

  rsa_only = { "-tls1_3" => ["-sigalgs", "RSA-PSS+SHA256"], "-tls1_2" => ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"] }

  rsa_only.each do |version, abilities|
    it "takes an exact name, then a wildcard, then the first (#{version})" do
      { nil => "first.example", "unknown.example" => "first.example", "both.example" => "both.example",
        "Any.wild.example" => "*.wild.example", "exact.wild.example" => "exact.wild.example",
        "a.b.wild.example" => "first.example", "wild.example" => "first.example" }.each do |name, expected|
        expect([name, subject(version, name: name)]).to eq [name, expected]
      end
    end

    it "gives a client that can only do RSA a certificate with RSA, or refuses it (#{version})" do
      expect(subject(version, *abilities, name: "both.example")).to eq "rsa.both.example"
      expect(subject(version, *abilities)).to eq "rsa.both.example"
      expect(alert(version, *abilities, name: "exact.wild.example")).to eq handshake_failure
      expect(alert(version, *abilities, name: "first.example")).to eq handshake_failure
    end

    it "refuses an unknown name if it is strict (#{version})" do
      strict = start(", :strict => true")
      expect(alert(version, name: "unknown.example", to: strict)).to eq unrecognized_name
      expect(strict.await(/TLS handshake failed/)).to end_with 'failed: no certificate has the name "unknown.example"'
      expect(subject(version, name: "x.wild.example", to: strict)).to eq "*.wild.example"
      expect(subject(version, to: strict)).to eq "first.example"
    end

    it "offers protocols in our order, and refuses a client that offers only others (#{version})" do
      both = start(', :alpn => ["h2", "http/1.1"]')
      protocols = ->(*alpn) { OpensslClient.new(both.port, version, *alpn).said }
      expect(protocols["-alpn", "http/1.1,h2"]).to eq "h2"
      expect(protocols["-alpn", "http/1.1"]).to eq "http/1.1"
      expect(protocols[]).to eq ""
      expect(alert(version, "-alpn", "smtp", to: both)).to eq no_application_protocol
      expect(OpensslClient.new(proxy.port, version, "-alpn", "smtp").said).to eq ""
    end
  end

  it "refuses TLS 1.2 if :min_version is 1.3, and TLS 1.1 always" do
    newest = start(', :min_version => "1.3"')
    expect(alert("-tls1_2", to: newest)).to eq protocol_version
    expect(subject("-tls1_3", to: newest)).to eq "first.example"
    expect(alert("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")).to eq protocol_version
    expect(proxy.await(/TLS handshake failed: the other side speaks/)).to end_with "TLS 1.1 at most"
  end

  it "refuses a name that a sniffer accepts and no certificate can have, and says why" do
    OpensslClient.new(proxy.port, name: "foo-.example")
    expect(proxy.await(/TLS handshake failed/)).to end_with "the client asks for a name that no certificate can have"
  end

  it "takes the text that the block names for each name" do
    proxy = ProxyProcess.start(<<~RUBY)
      TEXTS = { "first.example" => "1", "both.example" => "2" }.transform_values { |name| File.read("#{@dir}/\#{name}.pem") }
      proxy do |data, client|
        next { :close => "said: \#{client.tls.sni}\\n" } if client.tls
        hello = ProxyMachine::TLS.client_hello(data)
        next :noop if hello == :incomplete
        { :tls => certificates(:pem => TEXTS.fetch(hello.sni)) }
      end
    RUBY
    %w[first.example both.example first.example].each do |name|
      client = OpensslClient.new(proxy.port, name: name)
      expect([client.subject, client.said]).to eq [name, name]
    end
    expect(proxy.errors).to be_empty
    OpensslClient.new(proxy.port, name: "unknown.example")
    expect(proxy.errors).to match [/\AERROR .*KeyError - key not found/]
  end
end
