# frozen_string_literal: true

require "open3"

# The hybrid key exchange X25519MLKEM768, with real peers: OpenSSL has it since 3.5.
RSpec.describe "Post-quantum key exchange:" do
  group = "X25519MLKEM768"
  version = Open3.capture2e("openssl", "version").first[/\d+(\.\d+)+/]

  before { skip "OpenSSL #{version} has no ML-KEM; 3.5 has" if Gem::Version.new(version) < Gem::Version.new("3.5") }

  it "openssl s_client negotiates it with a listener, whose block sees its name" do
    proxy = ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :tls => certificates(#{TlsFiles.shared("proxy.test").inspect})
      proxy { |data, client| { :close => "said: \#{client.tls.version} \#{client.tls.key_exchange}\\n" } }
    RUBY
    client = OpensslClient.new(proxy.port)
    expect(client.said).to eq "TLSv1.3 #{group}"
    expect(client.output).to include("Negotiated TLS1.3 group: #{group}\n")
    expect(OpensslClient.new(proxy.port, "-groups", "X25519").said).to eq "TLSv1.3 x25519"
  end

  it "openssl s_server that accepts nothing else is a backend" do
    server = TlsServer.new("proxy.test", "-tls1_3", "-groups", group)
    proxy = ProxyProcess.start(<<~RUBY)
      TRUSTED = authorities(#{server.certificate.inspect}).for("proxy.test")
      proxy { { :remote => #{server.address.inspect}, :remote_tls => TRUSTED } }
    RUBY
    expect(Client.new(proxy.port).write("hello\n").read(6)).to eq "olleh\n"
    expect(server.stderr).to include("Peer Temp Key: #{group}\n")
  end
end
