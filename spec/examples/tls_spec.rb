# frozen_string_literal: true

RSpec.describe "examples/tls.rb:" do
  running(:nginx) { Nginx.start("blue.test" => "ssl", "h2.test" => "ssl http2", "green.test" => "ssl http2") }
  running(:acme) { TlsServer.new("acme.test") }
  running(:proxy) do
    routes = {
      "blue.test" => nginx["blue.test"], "blue.test/h2" => nginx["h2.test"], "green.test" => nginx["green.test"],
      "*/acme-tls/1" => acme.address
    }
    ExampleConfig.start("tls", "TLS_ROUTES" => routes.map { |route| route.join("=") }.join(","))
  end

  # Runs a real curl that verifies the certificate.
  def get(host, *options)
    options = ["--cacert", nginx.certificate(host)] if options.empty?
    Curl.get(*options, "--connect-to", "::127.0.0.1:#{proxy.port}", "https://#{host}/page")
  end

  def shown(*options)
    TlsServer.name_shown_to_client(proxy.port, *options)
  end

  it "routes a real curl by its server name to the nginx with that certificate" do
    expect(get("green.test")).to eq "green.test: GET green.test /page HTTP/2.0"
    expect(get("blue.test", "--http1.1", "--cacert", nginx.certificate("blue.test")))
      .to eq "blue.test: GET blue.test /page HTTP/1.1"
  end

  it "routes clients that offer HTTP/2 to another nginx" do
    expect(get("blue.test", "--insecure", "--http2")).to eq "h2.test: GET blue.test /page HTTP/2.0"
    expect(get("blue.test", "--insecure", "--no-alpn")).to eq "blue.test: GET blue.test /page HTTP/1.1"
  end

  it "routes openssl s_client by name, in TLS 1.2 and 1.3, in any notation" do
    %w[-tls1_2 -tls1_3].product(%w[blue.test BLUE.test blue.test.]) do |version, name|
      expect(shown(version, "-servername", name)).to eq "blue.test"
    end
    expect(shown("-servername", "green.test")).to eq "green.test"
    expect(shown("-servername", "blue.test", "-alpn", "h2,http/1.1")).to eq "h2.test"
  end

  it "routes ACME challenges of every name to the server that answers them" do
    %w[blue.test red.test].each do |name|
      expect(shown("-servername", name, "-alpn", "acme-tls/1")).to eq "acme.test"
    end
  end

  it "sends an unrecognized_name alert for an unknown name" do
    [%w[-servername red.test], %w[-noservername]].each do |options|
      output, status = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{proxy.port}", *options,
                                       stdin_data: "")
      expect(output).to match(/unrecognized name/)
      expect(status).not_to be_success
    end
  end

  it "waits for a ClientHello in several chunks, and closes a connection that is not TLS" do
    client = connect.write(Capture.read("tls/curl")[0, 20])
    proxy.await(answer_log_line(client, :noop))
    expect(client).to be_quiet
    expect(ask("GET / HTTP/1.1\r\n\r\n")).to eq ""
  end
end
