# frozen_string_literal: true

# The PROXY protocol byte by byte; haproxy_spec.rb has a real HAProxy.
RSpec.describe "PROXY header:" do
  signature = "\r\n\r\n\0\r\nQUIT\n".b
  v2 = ->(command, family, rest) { signature + [command, family, rest.bytesize].pack("CCn") + rest }
  addresses = [192, 0, 2, 1, 192, 0, 2, 2, 1111, 80].pack("C8n2")

  describe "sent," do
    running(:once) { Backends.once("once") }

    def routed(answer, text = "hello")
      ask(text, ProxyProcess.start("proxy { |data| #{{ remote: once.address, **answer }.inspect} }"))
    end

    it "has the client's address, in both versions" do
      expect(routed({ proxy_protocol: 1 }))
        .to match(/\Aonce:PROXY TCP4 127.0.0.1 127.0.0.1 \d+ \d+\r\nhello\z/)
      expect(routed({ proxy_protocol: 2 }))
        .to match(/\Aonce:\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\x7F\0\0\x01\x7F\0\0\x01....hello\z/mn)
    end

    it "has the ports of both ends" do
      proxy = ProxyProcess.start("proxy { #{{ remote: once.address, proxy_protocol: 1 }.inspect} }")
      client = connect_from("127.0.0.5", proxy.port)
      own = client.socket.local_address.ip_port
      expect(client.write("x").read_all).to eq "once:PROXY TCP4 127.0.0.5 127.0.0.1 #{own} #{proxy.port}\r\nx"
    end

    it "precedes :data, even empty :data" do
      expect(routed({ proxy_protocol: 1, data: "instead" })).to end_with "\r\ninstead"
      expect(routed({ proxy_protocol: 1, data: "" })).to end_with "\r\n"
    end

    it "is sent once to each remote that is tried" do
      answer = { remote: [refused_address, once.address], proxy_protocol: 1 }
      expect(routed(answer).scan("PROXY").size).to eq 1
      routes = { 0 => [refused_address, 1], 1 => [once.address, 2] }
      proxy = ProxyProcess.start(<<~RUBY)
        proxy { { :remote => #{routes[0][0].inspect}, :proxy_protocol => 1, :retries => 0 } }
        proxy_connect_error { { :remote => #{routes[1][0].inspect}, :proxy_protocol => 2 } }
      RUBY
      expect(ask("hello", proxy)).to match(/\Aonce:#{signature}\x21\x11\0\x0C.{12}hello\z/mn)
    end

    it "shares a write with the bytes after it" do
      proxy = ProxyProcess.start("proxy { #{{ remote: once.address, proxy_protocol: 2 }.inspect} }")
      skip "no process may be traced here" unless SystemCalls.countable?(proxy.pid)

      counts = SystemCalls.count(proxy.pid) { 20.times { expect(ask("hello", proxy)).to end_with "hello" } }
      expect(counts["sendto"]).to be_between(40, 59) # one to the backend, one to the client, rarely a retry
    end
  end

  describe "expected," do
    running(:proxy) do
      ProxyProcess.start(<<~RUBY, args: [])
        listen "127.0.0.1:0", :name => :front, :proxy_protocol => ["127.0.0.0/29", "::1"]
        decision_timeout 60
        proxy { |data, client| { :close => "\#{client} \#{data}" } }
      RUBY
    end

    def trusted
      connect_from("127.0.0.1", proxy.port)
    end

    whole = { "v1" => "PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\n", "v2" => v2[0x21, 0x11, addresses] }

    whole.each do |version, header|
      it "is removed, in #{version}, complete or byte by byte" do
        expect(trusted.write("#{header}hello").read_all).to eq "192.0.2.1:1111 hello"
        client = trusted
        header.each_char { |char| client.write(char) }
        expect(client.write("hi").read_all).to eq "192.0.2.1:1111 hi"
      end

      it "is removed, in #{version}, split at any byte" do
        clients = (1...header.bytesize).map { |at| [trusted.write(header[0, at]), header[at..]] }
        heard = clients.map { |client, rest| client.write("#{rest}x").read_all }
        expect(heard.uniq).to eq ["192.0.2.1:1111 x"]
      end

      it "is rejected, in #{version}, from an untrusted address" do
        expect(connect_from("127.0.0.9", proxy.port).write("#{header}hello")).to be_ended
        proxy.await("ERROR 127.0.0.9:#{port_in_log} PROXY header from an address that is not trusted. Closing.")
      end

      it "is awaited, in #{version}, until the client disconnects, without a call of the block" do
        trusted.write(header[0..-2]).finish.read_all
        expect(proxy.settle.lines.grep(/close|ERROR/)).to be_empty
      end
    end

    def port_in_log
      eventually { proxy.lines.join[/127\.0\.0\.9:(\d+) PROXY/, 1] }
    end

    it "is optional for untrusted addresses" do
      client = connect_from("127.0.0.9", proxy.port)
      own = client.socket.local_address.ip_port
      expect(client.write("plain").read_all).to eq "127.0.0.9:#{own} plain"
    end

    # LOCAL: a health check or another connection of the load balancer itself.
    { "v1" => "PROXY UNKNOWN\r\n", "v1 with addresses" => "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
      "v2" => v2[0x20, 0, ""], "v2 with something in it" => v2[0x20, 0x11, "whatever"] }.each do |version, header|
      it "has no address for a connection of the load balancer itself, in #{version}" do
        client = trusted
        own = client.socket.local_address.ip_port
        expect(client.write("#{header}hello").read_all).to eq "127.0.0.1:#{own} hello"
        client = trusted.write(header).finish
        expect(client.read_all).to eq ""
        expect(proxy.errors).to be_empty
      end
    end

    line = ->(rest) { "PROXY TCP4 #{rest}\r\n" }
    crc = ->(sum) { v2[0x21, 0x11, addresses + [3, 4].pack("Cn") + sum] }
    {
      "that is none" => ["GET / HTTP/1.0\r\n\r\n", "no PROXY header"],
      "in another case" => ["proxy TCP4 ", "no PROXY header"],
      "without an end, in v1" => ["PROXY UNKNOWN #{"x" * 100}", "PROXY header too long"],
      "of another family, in v1" => ["PROXY UDP4 ", "no PROXY header"],
      "with an address that is none" => [line["192.0.2.256 192.0.2.2 1 2"], "PROXY header with a malformed address"],
      "with an address of the other family" => [line["::1 ::2 1 2"], "PROXY header with a malformed address"],
      "with a port that is none" => [line["192.0.2.1 192.0.2.2 65536 2"], "PROXY header with a malformed address"],
      "with a blank too many" => [line["192.0.2.1  192.0.2.2 1 2"], "PROXY header with a malformed address"],
      "that ends in a line feed alone" => ["PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
                                           "PROXY header with a malformed address"],
      "with a carriage return alone" => ["PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rG",
                                         "PROXY header with a malformed address"],
      "of another family, in v2, before its length" => ["#{signature}\x21\x41".b,
                                                        "PROXY header with a malformed address"],
      "that is not all there" => [line["192.0.2.1 192.0.2.2"], "PROXY header with a malformed address"],
      "of version 3" => [v2[0x31, 0x11, addresses], "PROXY header of an unknown version or command"],
      "of another family, in v2" => [v2[0x21, 0x41, addresses], "PROXY header with a malformed address"],
      "that is oversized, in v2" => [signature + [0x21, 0x11, 0xFFFF].pack("CCn"), "PROXY header too long"],
      "too short for its addresses" => [v2[0x21, 0x11, "\x01" * 11], "PROXY header with a malformed address"],
      "with half a TLV" => [v2[0x21, 0x11, "#{addresses}\x02\0\x09short"], "PROXY header with a malformed TLV"],
      "with a wrong checksum" => [crc["\0\0\0\0"], "PROXY header with a wrong checksum"]
    }.each do |what, (bytes, complaint)|
      it "#{what} is rejected" do
        client = trusted.write(bytes)
        expect(client).to be_ended
        expect(proxy.await(/ERROR /)).to eq "ERROR #{client.address} #{complaint}. Closing."
      end
    end

    it "is not client data, and precedes proxy_accept" do
      greeting = ProxyProcess.start(<<~RUBY, args: [])
        listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.1"]
        proxy_accept { |client| { :noop => "220 \#{client}\\n" } }
        proxy { |data| { :close => data } }
      RUBY
      client = connect(greeting).write("PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\n")
      expect(client.read(19)).to eq "220 192.0.2.1:1111\n"
      expect(client.write("x").read_all).to eq "x"
    end
  end
end
