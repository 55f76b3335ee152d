# frozen_string_literal: true

require "openssl"

# Limits where the proxy ends TLS: by source before the handshake, by key after it.
RSpec.describe "Limits and TLS:" do
  running(:echo) { Backends.echo }
  running(:proxy) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    key, @certificate = Certificate.create("proxy.example", @dir)
    pem = File.join(@dir, "both.pem").tap { |path| File.write(path, File.read(@certificate) + File.read(key)) }
    ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :tls => certificates(#{pem.inspect})
      max_connections_per_source 2
      proxy do |data, client|
        { :remote => #{echo.address.inspect}, :limit => { "name \#{client.tls.sni}" => 1 }, :over => "full",
          :reply => client.connections.to_s }
      end
    RUBY
  end
  after(:context) { FileUtils.rm_rf(@dir) }

  def encrypt(client)
    context = OpenSSL::SSL::SSLContext.new
    context.set_params(ca_file: @certificate, verify_mode: OpenSSL::SSL::VERIFY_PEER)
    socket = OpenSSL::SSL::SSLSocket.new(client.socket, context)
    socket.hostname = "proxy.example"
    Timeout.timeout(Eventually::DEADLINE) { socket.connect }
  end

  it "a source over its limit is closed before the handshake" do
    held = Array.new(2) { connect_from("127.0.0.5", proxy.port) }
    held.each { |client| proxy.await("INFO Accepted #{client.address}") }
    expect(connect_from("127.0.0.5", proxy.port).read_all).to eq ""
    encrypted = encrypt(held.first)
    encrypted.write("x")
    expect(encrypted.readpartial(2)).to eq "2"
    held.each(&:close)
  end

  it "a client over the limit of a key gets its words encrypted" do
    held = connect_from("127.0.0.6", proxy.port)
    first = encrypt(held)
    first.write("x")
    expect(first.readpartial(1)).to eq "1"
    client = connect_from("127.0.0.7", proxy.port)
    second = encrypt(client)
    second.write("x")
    expect(second.read).to eq "full"
    proxy.await("INFO #{client.address} name proxy.example has its 1 connections. Closing.")
    [held, client].each(&:close)
  end
end
