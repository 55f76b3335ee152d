# frozen_string_literal: true

RSpec.describe "examples/tls_or_passthrough.rb:" do
  running(:nginx) { Nginx.start("blue.test" => "", "green.test" => "ssl") }
  running(:proxy) do
    ExampleConfig.start("tls_or_passthrough", "TLS_CERTIFICATES" => TlsFiles.pem("blue.test"),
                                              "TLS_ENDS" => "blue.test=#{nginx["blue.test"]}",
                                              "TLS_PASSES" => "green.test=#{nginx["green.test"]}")
  end

  def get(host, authority)
    Curl.get("--cacert", authority, "--connect-to", "::127.0.0.1:#{proxy.port}", "https://#{host}/page")
  end

  it "ends TLS for one name" do
    expect(get("blue.test", TlsFiles.authority)).to eq "blue.test: GET blue.test /page HTTP/1.1"
  end

  it "passes another name through to the server with that certificate" do
    expect(get("green.test", nginx.certificate("green.test"))).to eq "green.test: GET green.test /page HTTP/1.1"
  end

  it "sends an unrecognized_name alert for an unknown name" do
    output, = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{proxy.port}", "-servername", "red.test",
                              stdin_data: "")
    expect(output).to match(/unrecognized name/)
  end
end
