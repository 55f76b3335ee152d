# frozen_string_literal: true

require "open3"

# `proxymachine -t` checks a config; `proxymachine --route` shows the answer for given data.
RSpec.describe "Dry runs:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(dir) }

  # Returns standard output, standard error and exit status.
  def run(config, *arguments, input: "")
    path = File.join(dir, "config.rb")
    File.write(path, config)
    out, err, status = Open3.capture3(*ProxyProcess.command, "-c", path, *arguments, stdin_data: input)
    [out, err, status.exitstatus]
  end

  describe "-t" do
    it "accepts a valid config" do
      expect(run("proxy { :close }", "-t", "-h", "127.0.0.1", "-p", "0")).to match [/\Aconfiguration ok$/, "", 0]
    end

    it "says what the config can take on this machine, and what limits it" do
      hosts = %w[-h 127.0.0.1 -p 0]
      out, = run("proxy { :close }", "-t", *hosts)
      descriptors = Process.getrlimit(:NOFILE).last.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
      expect(out).to match(/^capacity: [\d,]+ connections at once, limited by the #{descriptors} descriptors of this/)
        .and match(/^to one backend address: [\d,]+ connections at once, limited by net\.ipv4\.ip_local_port_range;/)
      out, = run("max_connections 50; proxy { :close }", "-t", *hosts, "--workers", "2")
      expect(out).to match(/^capacity: 100 connections at once in 2 workers, limited by max_connections; /)
    end

    it "names the number of connections to which the server then limits itself" do
      config = "admin '127.0.0.1:0'; proxy { :close }"
      out, = run(config, "-t", "-h", "127.0.0.1", "-p", "0")
      proxy = ProxyProcess.start(config)
      admin = proxy.await(%r{Metrics and status on http://})[%r{http://\S+}]
      limit = JSON.parse(Net::HTTP.get(URI("#{admin}status.json"))).dig("connections", "limit")
      expect(out[/capacity: ([\d,]+)/, 1].delete(",").to_i).to be_within(10).of(limit)
    end

    it "accepts an address in use, because the running server has it" do
      TCPServer.open("127.0.0.1", 0) do |server|
        address = "127.0.0.1:#{server.local_address.ip_port}"
        expect(run("listen '#{address}'; proxy { :close }", "--check").last).to eq 0
      end
    end

    ["*", "<any>", "<broadcast>"].each do |host|
      it "reports #{host}, which Ruby takes for an address and the engine for a name, as the start does" do
        check = run("proxy { :close }", "-t", "-h", host, "-p", "0")
        expect(check).to match ["", /\Aproxymachine: cannot listen on .*: Name or service not known/, 1]
        expect(run("proxy { :close }", "-h", host, "-p", "0"))
          .to match ["", /\Aproxymachine: cannot resolve .*: Name or service not known/, 1]
      end
    end

    it "does not touch the file of a Unix socket" do
      path = File.join(dir, "socket")
      UNIXServer.open(path) do
        expect(run("listen 'unix:#{path}'; proxy { :close }", "-t").last).to eq 0
        UNIXSocket.open(path, &:close)
      end
    end

    it "creates neither access log nor pidfile" do
      made = %w[log pid].map { |name| File.join(dir, name) }
      expect(run("access_log #{made.first.inspect}; proxy { :close }", "-t", "--pidfile", made.last).last).to eq 0
      expect(made.select { |path| File.exist?(path) }).to be_empty
    end

    it "reports an unwritable pidfile" do
      expect(run("proxy { :close }", "-t", "--pidfile", "/no/such/pid"))
        .to match ["", %r{\Aproxymachine: cannot write the pidfile /no/such/pid: No such file}, 1]
    end

    {
      "pidfile" => %w[--pidfile FILE/pid], "access log" => %w[--access-log FILE/log],
      "socket" => %w[--bind unix:FILE/s],
      "admin's socket" => %w[--admin unix:FILE/s]
    }.each do |what, arguments|
      it "reports the path of a #{what} that lies below a file" do
        file = File.join(dir, "file")
        File.write(file, "")
        _, err, status = run("proxy { :close }", "-t", *arguments.map { |text| text.sub("FILE", file) })
        expect(status).to eq 1
        expect(err).to match(/\Aproxymachine: cannot .*: Not a directory/)
      end
    end

    {
      "a name that is too long" => [->(dir) { File.join(dir, "x" * 256) }, /File name too long/],
      "a link into a missing directory" => [->(dir) { link(dir, "/no/such/file") }, /No such file/],
      "a loop of links" => [->(dir) { link(dir, File.join(dir, "link")) }, /Too many levels of symbolic links/]
    }.each do |what, (path, reason)|
      it "refuses logs with #{what}, as the start does" do
        %w[--access-log --tls-key-log].each do |log|
          [["-t"], []].each do |check|
            FileUtils.rm_f(File.join(dir, "link"))
            expect(run("proxy { :close }", log, path[dir], "-p", "0", *check)).to match ["", reason, 1]
          end
        end
      end
    end

    def self.link(dir, target)
      File.join(dir, "link").tap { |link| File.symlink(target, link) }
    end

    it "refuses a key log that is no regular file, as the start does" do
      [["-t"], []].each do |check|
        expect(run("proxy { :close }", "--tls-key-log", "/dev/null", "-p", "0", *check))
          .to match ["", /cannot write the TLS key log .*: it is no regular file/, 1]
      end
    end

    it "reports a pidfile that is a link" do
      File.symlink("/nowhere", File.join(dir, "link"))
      expect(run("proxy { :close }", "-t", "--pidfile", File.join(dir, "link"))[1]).to match(/cannot write the pidfile/)
    end

    {
      "no block" => ["nil", /has no proxy block: add proxy/],
      "a mistake" => ["proxi { :close }", /config\.rb:1: undefined method [`']proxi'/],
      "a setting that is none" => ["threads 0; proxy { :close }", /threads takes a whole number above 0, not 0/],
      "an address that is none" => ["listen 'here'; proxy { :close }", /cannot listen on here: expected host:port/],
      "an address of another machine" => ["listen '192.0.2.1:80'; proxy { :close }",
                                          /cannot listen on 192\.0\.2\.1:80: /],
      "an IPv6 address of another machine" => ["listen '[2001:db8::1]:80'; proxy { :close }",
                                               /cannot listen on \[2001:db8::1\]:80: /],
      "an address that is there twice" => ["listen '127.0.0.1:47'; listen '0.0.0.0:47'; proxy { :close }",
                                           /cannot listen on 0\.0\.0\.0:47: another listener of this config/],
      "a log that cannot be written" => ["access_log '/no/such/log'; proxy { :close }",
                                         %r{cannot write the access log /no/such/log: No such file}],
      "a config that ends the program" => ["proxy { :close }; exit 4", /ends the program .*\(exit 4\)/],
      "a name that nobody knows" => ["listen 'no.such.invalid:80'; proxy { :close }",
                                     /cannot listen on no\.such\.invalid/],
      "a directory that is missing" => ["listen 'unix:/no/such/socket'; proxy { :close }",
                                        %r{cannot listen on unix:/no/such}],
      "a user that does not exist" => ["run_as 'no-such-user'; proxy { :close }", /cannot run as no-such-user/]
    }.each do |what, (config, reason)|
      it "reports #{what}" do
        out, err, status = run(config, "-t")
        expect([out, status]).to eq ["", 1]
        expect(err).to match(reason)
      end
    end
  end

  describe "--route" do
    it "prints the answer and its meaning" do
      config = "proxy { |data| { :remote => '10.0.0.1:80', :data => data.upcase, :reply => 'hi' } }"
      expect(run(config, "--route", "-", input: "hello")).to eq [<<~TEXT, "", 0]
        after 5 bytes: #{{ remote: "10.0.0.1:80", data: "HELLO", reply: "hi" }.inspect}
          connects to 10.0.0.1:80, sends it 5 bytes instead of what has come, says 2 bytes to the client
      TEXT
    end

    it "passes chunk after chunk until the decision" do
      path = File.join(dir, "bytes")
      File.binwrite(path, "x" * 40_000)
      config = "proxy { |data| data.size > 20_000 ? { :close => 'enough' } : :noop }"
      expect(run(config, "--route", path)).to eq [<<~TEXT, "", 0]
        after 16384 bytes: :noop
          waits for more
        after 32768 bytes: #{{ close: "enough" }.inspect}
          says 6 bytes and closes the connection
      TEXT
    end

    it "exits with 1 without a decision" do
      expect(run("proxy { :noop }", "--route", "-", input: "abc"))
        .to eq ["after 3 bytes: :noop\n  waits for more\nno decision after 3 bytes\n", "", 1]
    end

    it "calls proxy_accept first" do
      accept = "proxy_accept { |client| client.ip == '127.0.0.1' ? %s : nil }"
      greet = "{ :noop => true, :reply => '220' }"
      expect(run("#{format(accept, greet)}; proxy { :close }", "--route", "-", input: "x")).to eq [<<~TEXT, "", 0]
        at once: #{{ noop: true, reply: "220" }.inspect}
          says 3 bytes and waits for more
        after 1 bytes: :close
          closes the connection
      TEXT
      expect(run("#{format(accept, ":close")}; proxy { :noop }", "--route", "-", input: "x").first)
        .to eq "at once: :close\n  closes the connection\n"
    end

    it "stops at max_preread, like the server" do
      out, _, status = run("max_preread 5; proxy { :noop }", "--route", "-", input: "1234567")
      expect([out, status]).to match [/\Aafter 7 bytes: .*^no decision after 7 bytes: max_preread closes it\n\z/m, 1]
    end

    it "calls the block of the named listener" do
      config = "listen '127.0.0.1:1', :name => :web\nproxy(:web) { |data, client| { :close => client.listener.to_s } }"
      expect(run(config, "--route", "-", "--listener", "web", input: "x").first).to include({ close: "web" }.inspect)
      expect(run(config, "--route", "-",
                 input: "x")[1]).to match(/no proxy block for clients without a listener's name/)
    end

    it "calls the block of a listener with TLS as for decrypted bytes" do
      config = "listen '127.0.0.1:1', :tls => certificates('#{TlsFiles.shared("proxy.example")}')\n" \
               "proxy { |data, client| { :close => [data, client.tls.version, client.tls.sni].inspect } }"
      expect(run(config, "--route", "-", input: "x").first)
        .to include({ close: ["x", "TLSv1.3", nil].inspect }.inspect)
    end

    describe "with an answer that ends TLS" do
      let(:router) { <<~RUBY }
        CERTIFICATES = certificates("#{TlsFiles.shared("proxy.example")}")
        proxy do |data, client|
          next({ :noop => "S", :tls => CERTIFICATES }) if data == "upgrade"
          next({ :tls => CERTIFICATES }) if data.getbyte(0) == 0x16
          { :close => "\#{data} \#{client.tls&.sni.inspect}" }
        end
      RUBY
      let(:hello) { File.join(dir, "hello").tap { |path| File.binwrite(path, Capture.read("tls/curl")) } }

      it "shows the answers to the decrypted bytes of the next file" do
        out, err, status = run(router, "--route", hello, "--route", "-", input: "GET")
        expect([out.lines.last(3), err, status]).to eq [[
          "  ends TLS here, then asks again about the decrypted bytes\n",
          "after 3 decrypted bytes: #{{ close: 'GET "www.example.com"' }.inspect}\n",
          "  says 21 bytes and closes the connection\n"
        ], "", 0]
      end

      it "goes on after an upgrade in the middle of a protocol" do
        path = File.join(dir, "clear").tap { |file| File.write(file, "upgrade") }
        out, err, status = run(router, "--route", path, "--route", "-", input: "x")
        expect([out.lines.values_at(1, 2), err, status]).to eq [[
          "  says 1 byte and ends TLS here, then asks again about the decrypted bytes\n",
          "after 1 decrypted bytes: #{{ close: "x nil" }.inspect}\n"
        ], "", 0]
      end

      it "says how to go on without a further file" do
        out, _, status = run(router, "--route", "-", input: "upgrade")
        expect([out.lines.last, status]).to eq ["  (another --route FILE shows the answers to them)\n", 0]
      end

      it "refuses to end TLS twice" do
        path = File.join(dir, "clear").tap { |file| File.write(file, "upgrade") }
        _, err, status = run(router, "--route", path, "--route", "-", input: "upgrade")
        expect([err, status]).to match [/the answer means nothing: TLS has ended already on this connection/, 1]
      end

      it "exits with 1 if the decrypted bytes decide nothing" do
        config = router.sub("{ :close", "next :noop if client.tls\n{ :close")
        out, _, status = run(config, "--route", hello, "--route", "-", input: "GET")
        expect([out.lines.last, status]).to eq ["no decision after 3 decrypted bytes\n", 1]
      end

      it "asks about the file as decrypted bytes if proxy_accept ends TLS" do
        config = "proxy_accept { { :tls => certificates('#{TlsFiles.shared("proxy.example")}') } }; proxy { :close }"
        out, _, status = run(config, "--route", "-", input: "GET")
        expect([out.lines[2], status]).to eq ["after 3 decrypted bytes: :close\n", 0]
      end
    end

    it "explains an invalid answer" do
      out, err, status = run("proxy { { :remote => 'nowhere' } }", "--route", "-", input: "x")
      expect([out, status]).to eq ["after 1 bytes: #{{ remote: "nowhere" }.inspect}\n", 1]
      expect(err).to match(/the answer means nothing: invalid remote: /)
    end

    it "prints the line where a block raised" do
      expect(run("proxy { |data| data.fetch(1) }", "--route", "-", input: "x")[1])
        .to match(/config\.rb:1: the proxy block raised NoMethodError: undefined method [`']fetch'/)
    end

    it "reports a missing file" do
      expect(run("proxy { :noop }", "--route", "/no/such/file")[1]).to match(%r{cannot read /no/such/file: })
    end
  end
end
