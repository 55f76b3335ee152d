# frozen_string_literal: true

# Certificates that clients must show, or may show.
RSpec.describe "Client certificates:" do
  # The numbers of alerts (RFC 8446, section 6). rustls says certificate_required in TLS 1.2, too.
  refusals = { none: 116, unknown: 48, expired: 45, revoked: 44 }

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    authority = CertificateAuthority.shared
    intermediate = CertificateAuthority.new("Intermediate", above: authority)
    revoked = authority.issue("revoked")
    { server: authority.issue("a.example"), valid: authority.issue("somebody", usage: "clientAuth"),
      chain: intermediate.issue("chained"), expired: authority.issue("expired", valid: -20..-10), revoked: revoked,
      server_only: authority.issue("server only", usage: "serverAuth"),
      unknown: CertificateAuthority.new("Other").issue("unknown") }
      .each { |name, issued| issued.write(file(name)) }
    authority.write(file(:authority))
    intermediate.write(file(:intermediate))
    File.write(file(:list), authority.revocation_list(revoked))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def file(name) = File.join(@dir, "#{name}.pem")

  def start(options = "")
    ProxyProcess.start(<<~RUBY)
      CERTIFICATES = certificates "#{file(:server)}",
                                  :client => authorities("#{file(:authority)}", :crl => "#{file(:list)}")#{options}
      proxy do |data, client|
        next { :tls => CERTIFICATES } unless client.tls
        { :close => "said: \#{client.tls.certificate&.subject&.to_s.inspect} \#{client.tls.chain&.size.inspect}\\n" }
      end
    RUBY
  end

  def client(name, version)
    shown = name ? ["-cert", file(name)] : []
    shown += ["-cert_chain", file(:intermediate)] if name == :chain
    OpensslClient.new(proxy.port, version, *shown)
  end

  %w[-tls1_2 -tls1_3].each do |version|
    describe "required (#{version})" do
      let(:proxy) { start }

      it "a client with one that the authorities have signed is served, and the block sees it" do
        expect(client(:valid, version).said).to eq '"/CN=somebody" 1'
        expect(client(:chain, version).said).to eq '"/CN=chained" 2'
      end

      it "others are refused with an alert, and Ruby never hears of them" do
        refusals.each do |name, alert|
          refused = client(name == :none ? nil : name, version)
          expect([name, refused.alert, refused.said]).to eq [name, alert, nil]
        end
        expect(client(:server_only, version).said).to be_nil
        failed = eventually { proxy.lines.grep(/TLS handshake failed: /).then { |all| all if all.size == 5 } }
        expect(failed).to all start_with("INFO 127.0.0.1:")
        expect(proxy.lines.grep(/said|ERROR/)).to be_empty
      end
    end

    describe "optional (#{version})" do
      let(:proxy) { start(", :client_optional => true") }

      it "a client without one is served, and one with a wrong one is refused" do
        expect(client(nil, version).said).to start_with "nil"
        expect(client(:valid, version).said).to start_with '"/CN=somebody"'
        refusals.except(:none).each { |name, alert| expect(client(name, version).alert).to eq alert }
      end
    end
  end
end
