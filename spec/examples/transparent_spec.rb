# frozen_string_literal: true

RSpec.describe "examples/transparent.rb" do
  running(:http) { Backends.http("http") }
  running(:echo) { Backends.echo }

  it "sends a real curl to the one server" do
    proxy = ExampleConfig.start("transparent", "UPSTREAM" => http.address)
    expect(Curl.get("http://127.0.0.1:#{proxy.port}/page")).to eq "http: GET /page HTTP/1.1, 0 bytes"
  end

  it "passes any bytes, 50 MB of them both ways at once" do
    proxy = ExampleConfig.start("transparent", "UPSTREAM" => echo.address)
    data = Bulk.bytes(50 * 1024 * 1024)
    expect(Bulk.digest(Bulk.exchange(connect(proxy).socket, data))).to eq Bulk.digest(data)
  end
end
