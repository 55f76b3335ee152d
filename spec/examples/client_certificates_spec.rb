# frozen_string_literal: true

RSpec.describe "examples/client_certificates.rb:" do
  running(:nginx) { Nginx.start("blue", "green") }
  running(:proxy) do
    ExampleConfig.start("client_certificates", "TLS_CERTIFICATES" => TlsFiles.pem("proxy.test"),
                                               "TLS_CLIENTS" => TlsFiles.authority,
                                               "TEAMS" => "blue=#{nginx["blue"]},green=#{nginx["green"]}")
  end

  # A certificate with an organizational unit.
  def person(team, **options)
    TlsFiles.pem("#{team}.person", subject: [["OU", team], %w[CN person]], usage: "clientAuth", **options)
  end

  def get(*options)
    Curl.run(*options, "--cacert", TlsFiles.authority, "--connect-to", "::127.0.0.1:#{proxy.port}",
             "https://proxy.test/page")
  end

  it "routes a real curl by the unit in its certificate" do
    %w[blue green].each { |team| expect(get("--cert", person(team)).first).to start_with "#{team}: GET" }
  end

  it "closes the connection of a unit without a route" do
    expect(get("--cert", person("red")).last).not_to eq 0
  end

  it "refuses a client without a certificate, with an expired one, and with one of another authority" do
    stranger = CertificateAuthority.new("Other").issue("stranger", usage: "clientAuth")
    strange = stranger.write(File.join(TlsFiles.dir, "stranger.pem"))
    before = nginx.pid
    [[], ["--cert", person("blue", valid: -20..-10)], ["--cert", strange]].each do |options|
      expect(get(*options).last).not_to eq 0
    end
    expect(nginx.pid).to eq before
    eventually { expect(proxy.recent_log.scan("TLS handshake failed: ").size).to eq 3 }
  end
end
