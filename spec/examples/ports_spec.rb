# frozen_string_literal: true

RSpec.describe "examples/ports.rb:" do
  running(:ssh) { SshServer.start("from-the-ssh-server") }
  running(:nginx) { Nginx.start("plain", "blue.test" => "ssl http2") }
  running(:proxy) do
    ExampleConfig.start("ports", { "PORTS_SSH" => ssh.address, "PORTS_TLS" => nginx["blue.test"],
                                   "PORTS_HTTP" => nginx["plain"] }, "--decision-timeout", "2")
  end

  it "routes a real ssh to the sshd, up to its command" do
    expect(ssh.output_through(proxy.port)).to eq "from-the-ssh-server\n"
  end

  it "routes real TLS clients to the nginx with TLS" do
    expect(Curl.get("--cacert", nginx.certificate("blue.test"), "--connect-to", "::127.0.0.1:#{proxy.port}",
                    "https://blue.test/page")).to eq "blue.test: GET blue.test /page HTTP/2.0"
    expect(TlsServer.name_shown_to_client(proxy.port)).to eq "blue.test"
  end

  it "routes a real curl without TLS to the nginx without TLS" do
    expect(Curl.get("--header", "Host: any.test", "http://127.0.0.1:#{proxy.port}/page"))
      .to eq "plain: GET any.test /page HTTP/1.1"
  end

  it "routes a client that waits for the server, like ssh-keyscan, to the sshd" do
    output, = Open3.capture2("ssh-keyscan", "-t", "ed25519", "-p", proxy.port.to_s, "127.0.0.1", err: File::NULL)
    expect(output).to include ssh.host_key
    expect(connect.read(8)).to eq "SSH-2.0-"
  end

  it "closes a client that stops within its request" do
    client = connect.write("GET / HTTP/1.1\r\n")
    expect(client.read_all).to eq ""
    proxy.await(answer_log_line(client, :close))
  end

  it "closes other protocols at once" do
    expect(ask("\0")).to eq ""
  end
end
