# frozen_string_literal: true

RSpec.describe "examples/tls_terminate.rb:" do
  running(:nginx) { Nginx.start("blue.test" => "", "h2.test" => "http2", "green.test" => "") }
  running(:proxy) do
    routes = { "blue.test" => nginx["blue.test"], "blue.test/h2" => nginx["h2.test"],
               "green.test" => nginx["green.test"] }
    files = [TlsFiles.pem("blue.test"), TlsFiles.pem("green.test", "*.green.test")]
    ExampleConfig.start("tls_terminate", "TLS_CERTIFICATES" => files.join(","),
                                         "TLS_ROUTES" => routes.map { |route| route.join("=") }.join(","))
  end

  def get(host, *options)
    Curl.get(*options, "--cacert", TlsFiles.authority, "--connect-to", "::127.0.0.1:#{proxy.port}",
             "https://#{host}/page")
  end

  it "routes a real curl by its server name, and HTTP/2 to a backend of its own" do
    expect(get("blue.test", "--http1.1")).to eq "blue.test: GET blue.test /page HTTP/1.1"
    expect(get("blue.test")).to eq "h2.test: GET blue.test /page HTTP/2.0"
    expect(get("green.test", "--http1.1")).to eq "green.test: GET green.test /page HTTP/1.1"
  end

  %w[-tls1_2 -tls1_3].each do |version|
    it "shows openssl s_client #{version} the certificate for its name" do
      %w[blue.test green.test].each do |name|
        expect(TlsServer.name_shown_to_client(proxy.port, version, "-servername", name)).to eq name
      end
    end
  end

  it "refuses an unknown name, and a client that offers other protocols only" do
    output, = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{proxy.port}", "-servername", "red.test",
                              stdin_data: "")
    expect(output).to match(/unrecognized name/)
    output, = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{proxy.port}", "-servername", "blue.test",
                              "-alpn", "imap", stdin_data: "")
    expect(output).to match(/no application protocol/)
  end
end
