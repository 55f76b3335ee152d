# frozen_string_literal: true

# Real TLS clients that negotiate an upgrade in clear, a browser, and Ruby's own client.
RSpec.describe "TLS clients:" do
  # The upgrades of `openssl s_client -starttls`: the request that the block waits for, and its replies. A MySQL server
  # speaks first; its client requests TLS with a packet of 36 bytes and begins the handshake at once. The messages of
  # LDAP are those of RFC 4511, section 4.14.
  running(:proxy) do
    ProxyProcess.start(<<~RUBY, args: [])
      CERTIFICATES = certificates #{TlsFiles.shared("proxy.test").inspect}
      %i[smtp imap postgres mysql ldap].each { |name| listen "127.0.0.1:0", :name => name }
      listen "127.0.0.1:0", :name => :web, :tls => CERTIFICATES

      def upgrade(client, data, request, reply)
        return { :close => "\#{client.tls.version} \#{data}" } if client.tls
        data.match?(request) ? { :noop => reply, :tls => CERTIFICATES } : :noop
      end

      proxy_accept do |client|
        case client.listener
        when :smtp then { :noop => "220 proxy.test ESMTP\\r\\n" }
        when :imap then { :noop => "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\\r\\n" }
        when :mysql then { :noop => MYSQL }
        end
      end

      version = "5.7.0-proxy\\0"
      body = "\\x0a" + version + [1].pack("V") + "aaaaaaaa\\0" + [0xffff].pack("v") + "\\x21" + [2].pack("v") +
             [0xffff].pack("v") + "\\x15" + "\\0" * 10 + "bbbbbbbbbbbb\\0"
      MYSQL = [body.bytesize].pack("V")[0, 3] + "\\0" + body

      proxy(:smtp) do |data, client|
        next { :noop => "250-proxy.test\\r\\n250 STARTTLS\\r\\n" } if !client.tls && data.match?(/\\AEHLO.*\\r\\n\\z/)
        upgrade(client, data, /STARTTLS\\r\\n\\z/, "220 go\\r\\n")
      end
      proxy(:imap) do |data, client|
        capability = "* CAPABILITY IMAP4rev1 STARTTLS\\r\\n. OK\\r\\n"
        next { :noop => capability } if !client.tls && data.match?(/CAPABILITY\\r\\n\\z/)
        upgrade(client, data, /STARTTLS\\r\\n\\z/, ". OK begin\\r\\n")
      end
      proxy(:postgres) { |data, client| upgrade(client, data, /\\A\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f\\z/n, "S") }
      proxy(:mysql) do |data, client|
        next { :close => "\#{client.tls.version} \#{data}" } if client.tls
        data.bytesize < 36 ? :noop : { :tls => CERTIFICATES, :data => data.byteslice(36..) }
      end
      proxy(:ldap) do |data, client|
        upgrade(client, data, /1\\.3\\.6\\.1\\.4\\.1\\.1466\\.20037\\z/,
                ["300c02010178070a010004000400"].pack("H*"))
      end
      proxy(:web) do |data, client|
        body = "<title>\#{client.tls.alpn.inspect}</title>\#{client.tls.sni}"
        { :close => "HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nContent-Length: \#{body.bytesize}\\r\\n" \\
                    "Connection: close\\r\\n\\r\\n\#{body}" }
      end
    RUBY
  end

  def port(name)
    ports = proxy.log.scan(/Listening on \S*?:(\d+)/).flatten
    ports.fetch(%w[smtp imap postgres mysql ldap web].index(name))
  end

  def session(protocol, *options)
    command = ["openssl", "s_client", "-connect", "127.0.0.1:#{port(protocol)}", "-starttls", protocol]
    checks = ["-CAfile", TlsFiles.authority, "-verify_return_error", "-servername", "proxy.test"]
    Open3.capture2e(*command, "-quiet", *checks, *options, stdin_data: "hello\n").first
  end

  %w[smtp imap postgres mysql ldap].each do |protocol|
    it "openssl s_client -starttls #{protocol} is served inside TLS" do
      expect(session(protocol)).to match(/TLSv1\.3 hello$/)
      expect(session(protocol, "-tls1_2")).to match(/TLSv1\.2 hello$/)
    end
  end

  it "Ruby's Net::HTTP gets a page" do
    http = Net::HTTP.new("proxy.test", port("web").to_i)
    http.ipaddr = "127.0.0.1"
    http.use_ssl = true
    http.ca_file = TlsFiles.authority
    expect(http.start { http.get("/").body }).to eq "<title>nil</title>proxy.test"
  end

  it "Chromium shows a page" do
    browser = Browser.new("--ignore-certificate-errors", "--host-resolver-rules=MAP proxy.test 127.0.0.1")
    browser.visit("https://proxy.test:#{port("web")}/")
    expect(browser.text("body")).to eq "proxy.test"
  ensure
    browser&.stop
  end
end
