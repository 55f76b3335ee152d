# frozen_string_literal: true

require "openssl"

# `:tls` and `:remote_tls` in answers, and `:tls` of a listener.
RSpec.describe "TLS:" do
  name = "proxy.example"
  running(:echo) { Backends.echo }

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    @key, @certificate = Certificate.create(name, @dir)
    @both = File.join(@dir, "both.pem")
    File.write(@both, File.read(@certificate) + File.read(@key))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  # Starts a proxy whose config has the constant CERTIFICATES.
  def start(config, **options)
    ProxyProcess.start("CERTIFICATES = certificates #{@both.inspect}\n#{config}", **options)
  end

  # Makes a handshake on a connection, and returns the encrypted one.
  def encrypt(client, name: "proxy.example", **options)
    context = OpenSSL::SSL::SSLContext.new
    context.set_params(ca_file: @certificate, verify_mode: OpenSSL::SSL::VERIFY_PEER, **options)
    socket = OpenSSL::SSL::SSLSocket.new(client.socket, context)
    socket.hostname = name
    Timeout.timeout(Eventually::DEADLINE) { socket.connect }
  end

  it "ends where the answer says so, and the block gets the decrypted bytes" do
    proxy = start(<<~RUBY)
      proxy do |data, client|
        next { :tls => CERTIFICATES } unless client.tls
        { :close => [data, client.tls.sni, client.tls.version, client.tls.cipher, client.tls.resumed?].inspect }
      end
    RUBY
    encrypted = encrypt(connect(proxy))
    encrypted.write("hello")
    expect(encrypted.read).to eq ["hello", name, "TLSv1.3", encrypted.cipher.first, false].inspect
  end

  it "ends at a listener, before proxy_accept" do
    proxy = start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :tls => CERTIFICATES
      proxy_accept { |client| { :noop => "\#{client.tls.version} \#{client.tls.key_exchange}\n" } }
      proxy { #{echo.address.inspect} }
    RUBY
    encrypted = encrypt(connect(proxy), max_version: OpenSSL::SSL::TLS1_2_VERSION)
    expect(encrypted.gets).to match(/\ATLSv1.2 (x25519|X25519MLKEM768|secp256r1)\n/)
    encrypted.write("hello")
    expect(encrypted.readpartial(5)).to eq "hello"
  end

  it "begins after a reply in clear" do
    proxy = start(<<~'RUBY')
      proxy do |data, client|
        next { :close => data } if client.tls
        data == "STARTTLS\r\n" ? { :reply => "220 go\r\n", :tls => CERTIFICATES } : { :noop => true }
      end
    RUBY
    client = connect(proxy).write("STARTTLS\r\n")
    expect(client.read(8)).to eq "220 go\r\n"
    encrypted = encrypt(client)
    encrypted.write("over")
    expect(encrypted.read).to eq "over"
  end

  it "cannot end where a callback says so, which is an ERROR line" do
    proxy = start(<<~RUBY)
      proxy_connect_error { { :tls => CERTIFICATES } }
      proxy { { :remote => #{refused_address.inspect}, :retries => 0 } }
    RUBY
    expect(connect(proxy).write("hello").read_all).to eq ""
    proxy.await(/\AERROR .* invalid :tls .*: expected a block that decides: a callback cannot end TLS$/)
  end

  it "goes to the backend with :remote_tls" do
    server = TlsServer.new(name)
    proxy = start(<<~RUBY)
      AUTHORITIES = authorities #{server.certificate.inspect}
      proxy { { :remote => #{server.address.inspect}, :remote_tls => AUTHORITIES.for(#{name.inspect}) } }
    RUBY
    expect(connect(proxy).write("hello\n").read(6)).to eq "olleh\n"
  ensure
    server&.stop
  end
end
