# frozen_string_literal: true

require "open3"

# `proxymachine -t` and `proxymachine --route`: to look before one leaps.
RSpec.describe "proxymachine" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(dir) }

  # Its output, its errors and its exit status.
  def run(config, *arguments, input: "")
    path = File.join(dir, "config.rb")
    File.write(path, config)
    out, err, status = Open3.capture3(*ProxyProcess.command, "-c", path, *arguments, stdin_data: input)
    [out, err, status.exitstatus]
  end

  describe "-t" do
    it "says that a good config is ok" do
      expect(run("proxy { :close }", "-t", "-h", "127.0.0.1", "-p", "0")).to eq ["configuration ok\n", "", 0]
    end

    it "takes an address that is in use for that of the running server" do
      TCPServer.open("127.0.0.1", 0) do |server|
        address = "127.0.0.1:#{server.local_address.ip_port}"
        expect(run("listen '#{address}'; proxy { :close }", "--check").last).to eq 0
      end
    end

    it "leaves the file of a Unix socket alone" do
      path = File.join(dir, "socket")
      UNIXServer.open(path) do
        expect(run("listen 'unix:#{path}'; proxy { :close }", "-t").last).to eq 0
        UNIXSocket.open(path, &:close)
      end
    end

    it "makes neither the access log nor the pidfile" do
      made = %w[log pid].map { |name| File.join(dir, name) }
      expect(run("access_log #{made.first.inspect}; proxy { :close }", "-t", "--pidfile", made.last).last).to eq 0
      expect(made.select { |path| File.exist?(path) }).to be_empty
    end

    it "says that the pidfile cannot be written" do
      expect(run("proxy { :close }", "-t", "--pidfile", "/no/such/pid"))
        .to match ["", %r{\Aproxymachine: cannot write the pidfile /no/such/pid: No such file}, 1]
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
      it "says what is wrong: #{what}" do
        out, err, status = run(config, "-t")
        expect([out, status]).to eq ["", 1]
        expect(err).to match(reason)
      end
    end
  end

  describe "--route" do
    it "shows the answer, and what it means" do
      config = "proxy { |data| { :remote => '10.0.0.1:80', :data => data.upcase, :reply => 'hi' } }"
      expect(run(config, "--route", "-", input: "hello")).to eq [<<~TEXT, "", 0]
        after 5 bytes: {:remote=>"10.0.0.1:80", :data=>"HELLO", :reply=>"hi"}
          connects to 10.0.0.1:80, sends it 5 bytes instead of what has come, says 2 bytes to the client
      TEXT
    end

    it "goes on, chunk by chunk, until there is a decision" do
      path = File.join(dir, "bytes")
      File.binwrite(path, "x" * 40_000)
      config = "proxy { |data| data.size > 20_000 ? { :close => 'enough' } : :noop }"
      expect(run(config, "--route", path)).to eq [<<~TEXT, "", 0]
        after 16384 bytes: :noop
          waits for more
        after 32768 bytes: {:close=>"enough"}
          says 6 bytes and closes the connection
      TEXT
    end

    it "ends with 1 if there is none" do
      expect(run("proxy { :noop }", "--route", "-", input: "abc"))
        .to eq ["after 3 bytes: :noop\n  waits for more\nno decision after 3 bytes\n", "", 1]
    end

    it "asks the one for clients that have said nothing, first" do
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

    it "stops at max_preread, as the server does" do
      out, _, status = run("max_preread 5; proxy { :noop }", "--route", "-", input: "1234567")
      expect([out, status]).to match [/\Aafter 7 bytes: .*^no decision after 7 bytes: max_preread closes it\n\z/m, 1]
    end

    it "asks the block of a listener" do
      config = "listen '127.0.0.1:1', :name => :web\nproxy(:web) { |data, client| { :close => client.listener.to_s } }"
      expect(run(config, "--route", "-", "--listener", "web", input: "x").first).to include ':close=>"web"'
      expect(run(config, "--route", "-",
                 input: "x")[1]).to match(/no proxy block for clients without a listener's name/)
    end

    it "says what is wrong with an answer" do
      out, err, status = run("proxy { { :remote => 'nowhere' } }", "--route", "-", input: "x")
      expect([out, status]).to eq ["after 1 bytes: {:remote=>\"nowhere\"}\n", 1]
      expect(err).to match(/the answer means nothing: invalid remote: /)
    end

    it "says where a block raised" do
      expect(run("proxy { |data| data.fetch(1) }", "--route", "-", input: "x")[1])
        .to match(/config\.rb:1: the proxy block raised NoMethodError: undefined method [`']fetch'/)
    end

    it "says that a file is not there" do
      expect(run("proxy { :noop }", "--route", "/no/such/file")[1]).to match(%r{cannot read /no/such/file: })
    end
  end
end
