# frozen_string_literal: true

RSpec.describe "examples/transparent.rb:" do
  running(:http) { Backends.http("http") }
  running(:echo) { Backends.echo }

  it "routes a real curl to its server" do
    proxy = ExampleConfig.start("transparent", "UPSTREAM" => http.address)
    expect(Curl.get("http://127.0.0.1:#{proxy.port}/page")).to eq "http: GET /page HTTP/1.1, 0 bytes"
  end

  it "relays 50 MB of any bytes both ways at once" do
    proxy = ExampleConfig.start("transparent", "UPSTREAM" => echo.address)
    data = Payload.bytes(50 * 1024 * 1024)
    expect(Payload.digest(Payload.exchange(connect(proxy).socket, data))).to eq Payload.digest(data)
  end
end
