# frozen_string_literal: true

# `:remote_tls`: which servers are accepted, and what happens with the others.
RSpec.describe "TLS to servers:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    CertificateAuthority.shared.write(file(:authority))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def file(name) = File.join(@dir, "#{name}.pem")

  # Returns the context of a server that shows this certificate.
  def context(issued, **options)
    OpenSSL::SSL::SSLContext.new.tap do |context|
      context.add_certificate(issued.certificate, issued.key)
      options.each { |name, value| context.public_send(:"#{name}=", value) }
    end
  end

  # Starts a server that says its name and what it has received.
  def server(name, issued = CertificateAuthority.shared.issue("db.internal"), **options)
    Backends.encrypted(context(issued, **options)) { |data| "#{name}: #{data}" }
  end

  # Returns the options of a server that requires a certificate of ours.
  def required
    { verify_mode: OpenSSL::SSL::VERIFY_PEER | OpenSSL::SSL::VERIFY_FAIL_IF_NO_PEER_CERT, ca_file: file(:authority) }
  end

  def start(answer, authorities = "")
    ProxyProcess.start(<<~RUBY)
      TRUSTED = authorities(#{file(:authority).inspect}#{authorities})
      proxy_connect_error { |remote| LOGGER.info "no server: \#{remote}"; nil }
      proxy { { :remote_tls => TRUSTED.for("db.internal"), **#{answer.inspect} } }
    RUBY
  end

  def reply(proxy) = Client.new(proxy.port).write("hello").finish.read_all

  # Returns what the lines say about the handshakes and the retries.
  def told(proxy) = proxy.settle.lines.grep(/TLS with|Retrying/).map { |line| line.delete_prefix("WARN ") }

  {
    "of another authority" => ["no trusted authority", -> { CertificateAuthority.new("Other").issue("db.internal") }],
    "of another name" => ['not valid for name "db.internal"', -> { CertificateAuthority.shared.issue("web.internal") }],
    "that has expired" => ["expired", -> { CertificateAuthority.shared.issue("db.internal", valid: -90..-30) }],
    "that is not valid yet" => ["not valid yet", -> { CertificateAuthority.shared.issue("db.internal", valid: 60..90) }]
  }.each do |kind, (reason, issued)|
    it "a certificate #{kind} is a failed attempt, and the next server is tried at once" do
      wrong = server("wrong", issued.call)
      right = server("right")
      proxy = start({ remote: [wrong.address, right.address] })
      expect(reply(proxy)).to eq "right: hello"
      expect(told(proxy)).to contain_exactly(match(/\ATLS with #{wrong.address} failed: .*#{reason}/))
    end
  end

  it "a server with a wrong certificate is left out of later rounds, whose lines name the next server" do
    wrong = server("wrong", CertificateAuthority.shared.issue("web.internal"))
    plain = Backend.new { |session| session.read && session.write("no TLS\n") && session.drain }
    proxy = start({ remote: [wrong.address, plain.address], retries: 2, retry_delay: 0.01 })
    expect(reply(proxy)).to be_empty
    expect(told(proxy).map { |line| line[/with (\S+)/, 1] }).to eq [wrong.address, *[plain.address] * 5]
  end

  it "a server that requires a certificate of ours gets the one of the authorities" do
    shown = CertificateAuthority.shared.issue("proxy", usage: "clientAuth").write(file(:shown))
    strict = server("strict", **required)
    expect(reply(start({ remote: strict.address }, ", :certificate => #{shown.inspect}"))).to eq "strict: hello"
  end

  %w[1.2 1.3].each do |version|
    it "a server that misses a certificate of ours is told of with its alert (#{version})" do
      number = OpenSSL::SSL.const_get("TLS#{version.tr(".", "_")}_VERSION")
      strict = server("strict", **required, min_version: number, max_version: number)
      proxy = start({ remote: strict.address, retries: 0 })
      client = Client.new(proxy.port).write("hello")
      expect(proxy.await(/TLS with #{strict.address} failed: .*alert/)).to start_with "WARN"
      expect(proxy.await(/no server: /)).to end_with strict.address
      client.socket.close
    end

    {
      "misses a certificate of ours" => nil,
      "refuses our certificate" => -> { CertificateAuthority.new("Other").issue("proxy", usage: "clientAuth") }
    }.each do |kind, shown|
      it "a server that #{kind} is a failed attempt, and the next server is tried (#{version})" do
        number = OpenSSL::SSL.const_get("TLS#{version.tr(".", "_")}_VERSION")
        strict = server("strict", **required, min_version: number, max_version: number)
        option = shown && ", :certificate => #{shown.call.write(file(:refused)).inspect}"
        proxy = start({ remote: [strict.address, server("next").address] }, option.to_s)
        # With TLS 1.3 the engine waits as long for the alert as the handshake took; a busy machine may be late once.
        eventually { expect(reply(proxy)).to eq "next: hello" }
        expect(told(proxy)).to include(match(/\ATLS with #{strict.address} failed: .*alert/))
      end
    end
  end
end
