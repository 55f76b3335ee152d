# frozen_string_literal: true

# Link-local IPv6 addresses with a zone (RFC 4007).
RSpec.describe "A zone" do
  in_network_namespace
  before(:context) do
    add = %w[ip -6 addr add fe80::1/64 dev lo scope link nodad]
    skip "no link-local address can be added here" unless system(*add, %i[out err] => File::NULL)
  end

  def routed(answer)
    ask("x", ProxyProcess.start("proxy { #{answer.inspect} }"))
  end

  it "is part of a remote and of :local_host" do
    naming = TCPServer.new("fe80::1%lo", 0)
    Thread.new do
      2.times do
        client = naming.accept
        client.readpartial(1) # A close with unread bytes would be a reset.
        client.write(client.remote_address.ip_address)
        client.close
      end
    end
    port = naming.local_address.ip_port
    expect(routed({ remote: "[fe80::1%lo]:#{port}", retries: 0 })).to eq "fe80::1%lo"
    expect(routed({ remote: "fe80::1%lo:#{port}", local_host: "fe80::1%lo", retries: 0 })).to eq "fe80::1%lo"
  end

  it "of no interface makes a :local_host invalid" do
    proxy = ProxyProcess.start("proxy { { :remote => '[fe80::1%lo]:1', :local_host => 'fe80::1%nowhere' } }")
    expect(ask("x", proxy)).to eq ""
    proxy.await(/ERROR .*local_host.*fe80::1%nowhere/)
  end

  it "is part of a listener, of the client's address and of the log" do
    proxy = ProxyProcess.new("proxy { |_, client| { :close => [client.ip, client.local_ip].join(' ') } }",
                             args: ["-h", "fe80::1%lo", "-p", "0"])
    port = eventually { proxy.log[/Listening on .*:(\d+)$/, 1] }.to_i
    client = Client.new(port, host: "fe80::1%lo")
    expect(client.write("x").read_all).to eq "fe80::1%lo fe80::1%lo"
    proxy.await("INFO Accepted fe80::1%lo:#{client.socket.local_address.ip_port}")
  end
end
