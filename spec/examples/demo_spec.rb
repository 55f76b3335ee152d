# frozen_string_literal: true

RSpec.describe "examples/demo.rb:" do
  running(:cats) { Backends.http("cats") }
  running(:proxy) do
    ExampleConfig.start("demo", "DEMO_ROUTES" => "cats=#{cats.address},dogs=#{refused_address}")
  end

  it "routes a real curl by its path" do
    expect(Curl.get("http://127.0.0.1:#{proxy.port}/cats/tom")).to eq "cats: GET /cats/tom HTTP/1.1, 0 bytes"
  end

  it "answers a path without a server itself" do
    output, status = Curl.run("--include", "http://127.0.0.1:#{proxy.port}/mice")
    expect(output).to match(%r{\AHTTP/1\.1 404 .*mice}m)
    expect(status).to eq 0
  end

  it "logs a server that is down" do
    expect(Curl.run("http://127.0.0.1:#{proxy.port}/dogs").last).not_to eq 0
    expect(proxy.await(/\AWARN Is the server at 127\.0\.0\.1:\d+ running\?/)).to be_truthy
  end
end
