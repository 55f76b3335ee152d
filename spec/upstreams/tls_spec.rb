# frozen_string_literal: true

# `:remote_tls` as an option of an upstream: for all its answers, and for its checks.
RSpec.describe "Upstreams with TLS:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-spec")
    CertificateAuthority.shared.write(file)
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def file = File.join(@dir, "authority.pem")

  # Starts a server that says its name and what it has received.
  def server(name, issued = CertificateAuthority.shared.issue("db.internal"))
    context = OpenSSL::SSL::SSLContext.new.tap { |one| one.add_certificate(issued.certificate, issued.key) }
    Backends.encrypted(context) { |data| "#{name}:#{data}" }
  end

  def start(servers, options = "")
    ProxyProcess.start(<<~RUBY, args: %w[-h 127.0.0.1 -p 0 --admin 0])
      TRUSTED = authorities(#{file.inspect})
      upstream :db, #{servers.map(&:address).inspect}, :remote_tls => TRUSTED.for("db.internal"), :balance => :ordered#{options}
      proxy { :db }
    RUBY
  end

  def wrong = server("wrong", CertificateAuthority.new("Other").issue("db.internal"))

  def servers(proxy) = Admin.status(proxy)["upstreams"].first["servers"]

  it "connections to all servers are encrypted" do
    proxy = start([server("a")])
    expect(ask("x", proxy)).to eq "a:x"
    expect(proxy.errors).to be_empty
  end

  it "a server with a wrong certificate is replaced at once, and is out after three failures in a row" do
    bad = wrong
    proxy = start([bad, server("good")])
    expect(Array.new(5) { ask("x", proxy) }.uniq).to eq ["good:x"]
    expect(servers(proxy).map { |one| one.values_at("state", "failures") }).to eq [["down", 3], ["up", 0]]
    expect(proxy.settle.lines.grep(/\AWARN TLS with #{bad.address} failed: /).size).to eq 3
    expect(proxy.lines.grep(/\AWARN Upstream db: #{bad.address} is down: .*authority/).size).to eq 1
  end

  it "checks make a handshake: a server with a wrong certificate is down before the first client" do
    bad = wrong
    proxy = start([bad, server("good")], ", :check => 0.05")
    proxy.await(/\AWARN Upstream db: #{bad.address} is down: .*authority/)
    expect(ask("x", proxy)).to eq "good:x"
    expect(servers(proxy).map { |one| one.values_at("state", "failures") }).to eq [["down", 0], ["up", 0]]
  end

  it "checks find a server down that accepts connections, and speaks no TLS" do
    mute = Backends.greeting("220 hello\r\n")
    proxy = start([mute, server("good")], ", :check => 0.05")
    proxy.await(/\AWARN Upstream db: #{mute.address} is down: /)
    expect(ask("x", proxy)).to eq "good:x"
  end
end
