# frozen_string_literal: true

RSpec.describe "examples/socks.rb:" do
  running(:nginx) { Nginx.start("web", "forbidden") }
  running(:greeting) { Backends.greeting("server first") }
  running(:proxy) do
    @refused = refused_address
    allowed = [nginx["web"], greeting.address, @refused].map { |address| address[/\d+\z/] }
    ExampleConfig.start("socks", "SOCKS_PORTS" => allowed.join(","))
  end

  # A curl that resolves localhost itself may use ::1, which has no listener.
  def through(option, address)
    Curl.run("--ipv4", option, "127.0.0.1:#{proxy.port}", "--fail", "http://#{address}/page")
  end

  # A SOCKS5 request for 127.0.0.1.
  def request(port, command: 1)
    [5, command, 0, 1, 127, 0, 0, 1, port].pack("C8n")
  end

  %w[--socks4 --socks4a --socks5 --socks5-hostname].each do |option|
    it "routes a real curl #{option} to its destination, by address and by name" do
      [nginx["web"], nginx["web"].sub("127.0.0.1", "localhost")].each do |address|
        expect(through(option, address)).to eq ["web: GET #{address} /page HTTP/1.1", 0]
      end
    end

    it "rejects a port that is not allowed for curl #{option}" do
      expect(through(option, nginx["forbidden"])).to eq ["", 97] # CURLE_PROXY
    end

    it "curl #{option} fails when the server refuses" do
      output, status = through(option, @refused)
      expect(output).to eq ""
      expect(status).not_to eq 0
    end
  end

  it "resolves the name if the client leaves it to the proxy" do
    through("--socks4a", nginx["web"].sub("127.0.0.1", "localhost"))
    through("--socks5-hostname", nginx["web"].sub("127.0.0.1", "localhost"))
    expect(proxy.settle.lines.grep(/Establishing new connection with localhost:/).size).to eq 2
  end

  it "connects to a name with a dot at its end" do
    address = nginx["web"].sub("127.0.0.1", "localhost.")
    expect(through("--socks5-hostname", address)).to eq ["web: GET #{address} /page HTTP/1.1", 0]
  end

  it "relays a server that sends first, after the SOCKS replies" do
    client = connect.write("\x05\x01\x00".b)
    expect(client.read(2)).to eq "\x05\x00".b
    expect(client.write(request(greeting.port)).read(10 + 12)).to eq "\x05\0\0\x01\0\0\0\0\0\0server first".b
  end

  it "rejects password authentication and unsupported commands" do
    expect(ask("\x05\x01\x02".b)).to eq "\x05\xFF".b
    client = connect.write("\x05\x01\x00".b)
    client.read(2)
    expect(client.write(request(greeting.port, command: 3)).read_all).to eq "\x05\x07\0\x01\0\0\0\0\0\0".b
  end

  it "closes a connection that is not SOCKS" do
    expect(ask("GET / HTTP/1.1\r\n\r\n")).to eq ""
  end
end
