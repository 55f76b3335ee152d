# frozen_string_literal: true

RSpec.describe "examples/tls_by_customer.rb:" do
  running(:redis) { RedisServer.start }
  running(:nginx) { Nginx.start("blue.test", "green.test") }
  running(:proxy) { ExampleConfig.start("tls_by_customer", "TLS_REDIS" => "redis://#{redis.address}") }

  def customer(name, pem: CertificateAuthority.shared.issue(name).pem, remote: nginx[name])
    redis.cli("HSET", "customer:#{name}", "pem", pem, "remote", remote)
  end

  def get(host)
    Curl.run("--cacert", TlsFiles.authority, "--connect-to", "::127.0.0.1:#{proxy.port}", "https://#{host}/page")
  end

  it "serves a new customer's certificate without a reload" do
    expect(get("new.test").last).not_to eq 0
    customer("new.test", remote: nginx["blue.test"])
    expect(get("new.test")).to eq ["blue.test: GET new.test /page HTTP/1.1", 0]
    %w[blue.test green.test].each { |name| customer(name) }
    2.times do
      expect(get("blue.test")).to eq ["blue.test: GET blue.test /page HTTP/1.1", 0]
      expect(get("green.test")).to eq ["green.test: GET green.test /page HTTP/1.1", 0]
    end
  end

  it "serves a renewed certificate at the next connection" do
    serials = Array.new(2) do
      customer("blue.test")
      output, = Open3.capture2("openssl", "s_client", "-connect", "127.0.0.1:#{proxy.port}", "-servername", "blue.test",
                               stdin_data: "", err: File::NULL)
      OpenSSL::X509::Certificate.new(output[/-----BEGIN.*?END CERTIFICATE-----/m]).serial
    end
    expect(serials.uniq.size).to eq 2
  end

  it "logs a wrong text, refuses the client, and serves the others" do
    customer("green.test", pem: "nonsense", remote: "127.0.0.1:1")
    expect(get("green.test").last).not_to eq 0
    expect(proxy.settled_log).to match(/WARN.*No certificate for /)
    customer("green.test")
    expect(get("green.test").last).to eq 0
  end
end
