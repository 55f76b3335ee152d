# frozen_string_literal: true

# The configs in docs/sniffers.md, unchanged but for the addresses, with real clients.
RSpec.describe "Configs in docs/sniffers.md:" do
  documents("docs/sniffers.md")

  {
    "TLS.client_hello" => ["tls/curl"], "HTTP.request" => ["http/curl"], "Postgres.startup" => ["postgres/psql"],
    "SOCKS.request" => ["socks/curl_socks4", "socks/curl_socks5"], "SSH.banner" => ["ssh/openssh"],
    "Git.request" => ["git/fetch"]
  }.each do |sniffer, captures|
    it "lists the attributes of a value of #{sniffer}" do
      row = page[/^\| `ProxyMachine::#{sniffer}` \| (.*) \|$/, 1]
      names = row.scan(/`(\w+\??)(?:\(\w+\))?`/).flatten.map(&:to_sym).grep_v(/^(Greeting|Request)$/)
      container, method = sniffer.split(".")
      values = captures.flat_map { |name| [Capture.read(name), Capture.read(name)[0, 4]] }.filter_map do |data|
        value = ProxyMachine.const_get(container).public_send(method, data)
        value if value.is_a?(Struct)
      end
      expect(names.reject { |name| values.any? { |value| value.respond_to?(name) } }).to be_empty
      expect(values.flat_map(&:members).uniq - names).to be_empty
    end
  end

  it "shows the normal form of names as the sniffer returns it" do
    rows = page[/^## Names of hosts\n(.*?)^## /m, 1].scan(/^\| (`.*?) \| `([^`]+)`/)
    expect(rows.size).to eq 5
    rows.each do |written, normal|
      written.scan(/`([^`]+)`/).flatten.each do |host|
        expect(ProxyMachine::HTTP.request("GET / HTTP/1.1\r\nHost: #{host}\r\n\r\n").host).to eq normal
      end
    end
  end

  it "names characters and texts that are not host names" do
    ["a..test", ".", "blue.test..", "a b", "a,b", "*.a", "a%2eb", "a@b", "\u00E9.test"].each do |host|
      expect(ProxyMachine::HTTP.request("GET / HTTP/1.1\r\nHost: #{host}\r\n\r\n").host).to be_nil
    end
  end

  describe "the first config" do
    running(:blue) { TlsServer.new("blue.example") }
    running(:green) { TlsServer.new("green.example") }
    running(:other) { TlsServer.new("other.example") }
    running(:proxy) do
      documented("Sniffers", 0, "10.0.0.1:443" => blue, "10.0.0.2:443" => green, "10.0.0.9:443" => other)
    end

    it "routes a real TLS client by the server name" do
      %w[blue.example green.example].each do |name|
        expect(TlsServer.name_shown_to_client(proxy.port, "-servername", name)).to eq name
        expect(TlsServer.name_shown_to_client(proxy.port, "-tls1_2", "-servername", name)).to eq name
      end
    end

    it "routes other names, and clients without one, to the default server" do
      expect(TlsServer.name_shown_to_client(proxy.port, "-servername", "red.example")).to eq "other.example"
      expect(TlsServer.name_shown_to_client(proxy.port, "-noservername")).to eq "other.example"
    end

    it "waits for a ClientHello that is spread over records and chunks" do
      data = Capture.read("tls/openssl_in_three_records")
      client = connect
      data.bytes.each_slice(300).map { |bytes| bytes.pack("C*") }.each_with_index do |chunk, index|
        eventually { proxy.lines.grep(/\A#{Regexp.escape(answer_log_line(client, :noop))}/).size == index }
        client.write(chunk)
      end
      expect(client.read(1)).to eq "\x16" # the ServerHello
    end

    it "closes the connection of another protocol at once" do
      expect(connect.write("G")).to be_ended
    end
  end

  describe "the config for several protocols on one port" do
    running(:ssh) { Backends.once("ssh") }
    running(:tls) { Backends.once("tls") }
    running(:http) { Backends.once("http") }
    running(:proxy) do
      documented("Sniffers", 1, "10.0.0.1:22" => ssh, "10.0.0.2:443" => tls, "10.0.0.3:80" => http)
    end

    it "recognizes each protocol" do
      { "ssh/openssh" => "ssh", "tls/curl" => "tls", "http/curl" => "http" }.each do |name, server|
        data = Capture.read(name)
        expect(ask(data)).to eq "#{server}:".b + data
        client = connect.write(data[0])
        proxy.await(answer_log_line(client, :noop))
        expect(client.write(data[1..]).read_all).to eq "#{server}:".b + data
      end
      expect(connect.write("\0")).to be_ended
    end
  end

  describe "the config for HTTP" do
    running(:blue) { Backends.http("blue") }
    running(:green) { Backends.http("green") }
    running(:api) { Backends.once("api") }
    running(:other) { Backends.http("other") }
    running(:proxy) do
      documented("HTTP", 0, "10.0.0.1:80" => blue, "10.0.0.2:80" => green, "10.0.0.3:80" => api, "10.0.0.9:80" => other)
    end

    it "routes a real curl by its host" do
      { "blue.example" => "blue", "GREEN.example.:8080" => "green", "red.example" => "other" }.each do |host, server|
        expect(Curl.get("--header", "Host: #{host}", "http://127.0.0.1:#{proxy.port}/page"))
          .to eq "#{server}: GET /page HTTP/1.1, 0 bytes"
      end
    end

    it "routes HTTP/2 and the path of the API to their server" do
      http2 = Capture.read("http/curl_http2")
      expect(ask(http2)).to eq "api:".b + http2
      expect(ask("GET /api/cats HTTP/1.1\r\nHost: blue.example\r\n\r\n")).to start_with "api:GET /api/cats"
    end

    it "refuses another protocol, and a request that names two hosts" do
      expect(ask("\0")).to start_with "HTTP/1.1 400 "
      expect(ask("GET http://green.example/ HTTP/1.1\r\nHost: blue.example\r\n\r\n")).to start_with "HTTP/1.1 400 "
    end
  end

  describe "the config for PostgreSQL" do
    running(:shop) { Backends.once("shop") }
    running(:reports) { Backends.once("reports") }
    running(:other) { Backends.once("other") }
    running(:proxy) do
      documented("PostgreSQL", 0, "10.0.0.1:5432" => shop, "10.0.0.2:5432" => reports, "10.0.0.9:5432" => other)
    end

    it "routes a client by its database" do
      data = Capture.read("postgres/psql")
      expect(ask(data)).to eq "shop:".b + data
    end

    it "refuses encryption, and does not pass the request for it on" do
      question, message = Capture.read("postgres/psql_ssl_refused").unpack("a8a*")
      client = connect.write(question)
      expect(client.read(1)).to eq "N"
      expect(client.write(message).read_all).to eq "other:".b + message
    end

    it "closes the connection of a cancel request" do
      expect(ask([16, 80_877_102, 1, 2].pack("N4"))).to eq ""
    end
  end

  describe "the config for SOCKS" do
    running(:http) { Backends.http("http") }
    running(:proxy) { documented("SOCKS") }

    %w[socks4 socks4a socks5 socks5h].each do |scheme|
      it "connects a real curl by #{scheme} to its destination" do
        expect(Curl.get("--proxy", "#{scheme}://127.0.0.1:#{proxy.port}", "http://127.0.0.1:#{http.port}/page"))
          .to eq "http: GET /page HTTP/1.1, 0 bytes"
      end
    end

    it "refuses other commands, ports and methods" do
      expect(ask("\x04\x02\0\x50\x7F\0\0\x01\0".b)).to eq "\0\x5B\0\0\0\0\0\0".b
      expect(ask("\x04\x01\0\x19\x7F\0\0\x01\0".b)).to eq "\0\x5B\0\0\0\0\0\0".b
      expect(ask("\x05\x01\x02".b)).to eq "\x05\xFF".b
    end
  end

  describe "the config for SSH" do
    running(:openssh) { Backends.once("openssh") }
    running(:other) { Backends.once("other") }
    running(:proxy) { documented("SSH", 0, "10.0.0.1:22" => openssh, "10.0.0.9:22" => other) }

    it "routes by the client's software" do
      expect(ask(Capture.read("ssh/openssh"))).to start_with "openssh:SSH-2.0-"
      expect(ask("SSH-2.0-Go\r\n")).to eq "other:SSH-2.0-Go\r\n"
    end
  end

  describe "the config for Git" do
    running(:daemon) do
      @base = Dir.mktmpdir("proxymachine-git")
      FileUtils.mkdir_p(File.join(@base, "alice"))
      Git.repository(File.join(@base, "alice", "project.git"), "README" => "of alice\n")
      GitDaemon.start(@base)
    end
    running(:bob) { Backends.closing }
    running(:proxy) { documented("Git", 0, "10.0.0.1:9418" => daemon, "10.0.0.2:9418" => bob) }
    after(:context) { FileUtils.rm_rf(@base) }

    it "routes a real git by the user in its path" do
      expect(Git.run("ls-remote", "git://127.0.0.1:#{proxy.port}/alice/project.git")).to include "refs/heads/main"
      expect { Git.run("ls-remote", "git://127.0.0.1:#{proxy.port}/eve/project.git") }.to raise_error(Git::Failure)
    end
  end
end
