# frozen_string_literal: true

# The configs in docs/routing.md, verbatim except for the addresses.
RSpec.describe "Configs in docs/routing.md:" do
  documents("docs/routing.md")

  running(:blue) { Backends.once("blue") }
  running(:green) { Backends.once("green") }
  running(:greeting) { Backends.greeting("220 hello") }

  it "routing by client address" do
    proxy = documented("The client argument", 0, "10.0.0.1:80" => blue, "10.0.0.2:80" => green,
                                                 '"10."' => '"127.0.0.9"')
    expect(ask("x", proxy)).to eq "green:x"
    expect(connect_from("127.0.0.9", proxy.port).write("x").read_all).to eq "blue:x"
  end

  it "the table of client attributes is complete" do
    names = page[/^`client` has (.*?)\. /m, 1].scan(/`(\w+)`/).flatten
    readers = Documentation.read("lib/proxymachine/client.rb").scan(/attr_reader :(\w+)$/).flatten
    expect(names).to match_array readers
  end

  it "a greeting on port 25, and routing by the reply" do
    port = free_port
    args = ["-h", "127.0.0.1", "-p", "0", "--bind", "127.0.0.1:#{port}"]
    proxy = documented("Server-first protocols", 0, "10.0.0.1:25" => blue, "10.0.0.2:25" => green,
                                                    "== 25" => "== #{port}", args: args)
    client = Client.new(port)
    expect(client.read(18)).to eq "220 mail.example\r\n"
    expect(client.write("EHLO blue.example\r\n").read_all).to eq "blue:EHLO blue.example\r\n"
    expect(ask("EHLO other\r\n", proxy)).to eq "green:EHLO other\r\n" # without a greeting
  end

  it "protocol detection by silence" do
    servers = { "10.0.0.1:22" => blue, "10.0.0.2:80" => green, "10.0.0.3:25" => greeting }
    expect(connect(documented("Server-first protocols", 1, **servers)).read(9)).to eq "220 hello"
    patient = documented("Server-first protocols", 1, **servers, "timeout 0.5" => "timeout 60")
    expect(ask("SSH-2.0-x\r\n", patient)).to start_with "blue:SSH"
    expect(ask("GET /", patient)).to eq "green:GET /"
  end

  it "failover with a final message" do
    refused = Backends.refusing
    proxy = documented("Failover", 0, "10.0.0.1:80" => refused, "10.0.0.2:80" => green)
    expect(ask("x", proxy)).to eq "green:x"
    proxy = documented("Failover", 0, "10.0.0.1:80" => refused, "10.0.0.2:80" => refused)
    expect(ask("x", proxy)).to start_with "HTTP/1.1 503 "
    expect(proxy.settle.lines.grep(/Retrying/).size).to eq 2
  end

  it "several listeners" do
    Dir.mktmpdir do |dir|
      UnixBackend.new("app", "#{dir}/app.sock")
      six = begin
        Backends.once("six", host: "::1")
      rescue SystemCallError
        skip "there is no IPv6 here"
      end
      proxy = documented("Addresses and listeners", 0, "127.0.0.1:8080" => "127.0.0.1:0", "/run/" => "#{dir}/",
                                                       "[::1]:80" => "[::1]:#{six.port}", args: [])
      expect(ask("x", proxy)).to eq "six:x"
      expect(UnixClient.new("#{dir}/router.sock").write("x").read_all).to eq "app:x"
    end
  end

  it "PROXY headers" do
    proxy = documented("PROXY protocol", 0, "127.0.0.1:8080" => "127.0.0.1:0", "10.0.0.1:80" => blue, args: [])
    answer = ask("PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\nx", proxy)
    expect(answer).to eq "blue:\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x01\xC0\0\x02\x02\x04\x57\0\x50x".b
  end

  it "a thread pool" do
    proxy = documented("Several threads", 0, "10.0.0.1:80" => blue)
    expect(Array.new(20) { connect(proxy).write("x") }.map(&:read_all)).to eq ["blue:x"] * 20
  end
end
