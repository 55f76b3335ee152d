# frozen_string_literal: true

RSpec.describe "examples/limits.rb:" do
  running(:backend) { Backends.http("backend") }
  running(:proxy) do
    ExampleConfig.start("limits", "HTTP_SERVER" => backend.address, "PER_SOURCE" => "4", "PER_HOST" => "2",
                                  "EXEMPT" => "127.0.0.8/31")
  end

  # A client that keeps its connection to the backend open, because its request is not complete.
  def hold(source, host)
    client = connect_from("127.0.0.#{source}", proxy.port)
    client.write("POST / HTTP/1.1\r\nHost: #{host}\r\nContent-Length: 9\r\n\r\n")
    proxy.await(/INFO #{client.address} \{/)
    client
  end

  def get(host, source)
    Curl.run("--include", "--interface", "127.0.0.#{source}", "--header", "Host: #{host}",
             "http://127.0.0.1:#{proxy.port}/").first[/\AHTTP.*(?=\r)/]
  end

  it "serves a real curl" do
    expect(get("yellow.test", 1)).to eq "HTTP/1.1 200 OK"
  end

  it "answers 503 for a host that has its connections, and serves the others" do
    held = [hold(2, "blue.test"), hold(3, "BLUE.test.")]
    expect(get("blue.test", 4)).to eq "HTTP/1.1 503 Service Unavailable"
    expect(get("green.test", 4)).to eq "HTTP/1.1 200 OK"
    held.each(&:close)
    eventually { expect(get("blue.test", 4)).to eq "HTTP/1.1 200 OK" }
  end

  it "leaves half of a host to clients with few connections" do
    idle = Array.new(2) { connect_from("127.0.0.5", proxy.port) }
    idle.each { |client| proxy.await("INFO Accepted #{client.address}") }
    held = hold(5, "red.test")
    expect(get("red.test", 5)).to eq "HTTP/1.1 503 Service Unavailable"
    expect(get("red.test", 6)).to eq "HTTP/1.1 200 OK"
    [*idle, held].each(&:close)
  end

  it "closes what is over the limit of an address, unless it is exempt" do
    held = Array.new(4) { connect_from("127.0.0.7", proxy.port) }
    held.each { |client| proxy.await("INFO Accepted #{client.address}") }
    expect(connect_from("127.0.0.7", proxy.port).read_all).to eq ""
    exempt = Array.new(5) { connect_from("127.0.0.8", proxy.port) }
    exempt.each { |client| proxy.await("INFO Accepted #{client.address}") }
    [*held, *exempt].each(&:close)
  end
end
