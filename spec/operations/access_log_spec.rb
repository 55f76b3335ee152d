# frozen_string_literal: true

require "json"

# docs/logs.md: one line for each connection that has ended, with a code that says how.
RSpec.describe "The access log" do
  line = %r{\A(?<client>\S+)\ \[(?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\]\ (?<listener>\S+)\ (?<remote>\S+)
           \ (?<waiting>-?\d+)/(?<block>\d+)/(?<connecting>-?\d+)/(?<first>-?\d+)/(?<relaying>-?\d+)/(?<total>\d+)
           \ (?<up>\d+)/(?<down>\d+)\ (?<code>..)\ (?<retries>\d+)\z}x

  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:file) { File.join(dir, "access") }
  let(:echo) { Backends.echo }
  let(:proxy) { start }

  after { FileUtils.rm_rf(dir) }

  def start(config = "", *arguments)
    Puppet.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--access-log", file, *arguments])
  end

  def lines
    File.exist?(file) ? File.readlines(file, chomp: true) : []
  end

  # The line of a client, once it has ended.
  define_method(:entry_of) do |client|
    address = client.is_a?(String) ? client : client.address
    found = eventually { lines.find { |text| text.start_with?("#{address} ") } }
    found.match(line) || raise("not as documented: #{found}")
  end

  def code_of(client)
    entry_of(client)[:code]
  end

  it "has what happened to a connection, field by field" do
    request = Puppet.to(echo)
    client = connect.write(request)
    expect(client.read(request.size)).to eq request
    client.finish.read_all
    entry = entry_of(client)
    expect(entry.named_captures).to include(
      "listener" => "127.0.0.1:0", "remote" => echo.address, "up" => request.bytesize.to_s,
      "down" => request.bytesize.to_s, "code" => "--", "retries" => "0"
    )
    parts = %w[waiting block connecting relaying].map { |name| entry[name].to_i }
    expect(parts).to all be >= 0
    expect(entry[:total].to_i).to be_between(parts.sum - 1, parts.sum + 10_000)
  end

  it "tells time in the block from time that a question waited" do
    client = connect.write("sleep 0.2; { :close => 'x' }\n")
    client.read_all
    expect(entry_of(client)[:block].to_i).to be_between(200, 20_000)
  end

  describe "says how it ended:" do
    it "CR, the client left before the decision" do
      client = connect.write("undecided")
      proxy.await(/Accepted/)
      address = client.address
      client.reset
      expect(code_of(address)).to eq "CR"
    end

    it "PR, the block said to close it, with the bytes of its words" do
      client = connect.write("{ :close => 'words' }\n")
      client.read_all
      expect(entry_of(client)).to have_attributes(to_s: %r{ - .* 0/5 PR 0\z})
    end

    it "PR, the answer is none" do
      client = connect.write("42\n")
      client.read_all
      expect(code_of(client)).to eq "PR"
    end

    it "SC, no server could be connected, with the retries" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
      client = connect.write("{ :remote => '127.0.0.1:#{port}', :retries => 2, :retry_delay => 0 }\n")
      client.read_all
      entry = entry_of(client)
      expect([entry[:code], entry[:remote], entry[:retries]]).to eq ["SC", "127.0.0.1:#{port}", "2"]
    end

    it "SH and sH, the server closed or kept silent before it had answered" do
      mute = Backends.closing
      client = connect.write(Puppet.to(mute))
      client.read_all
      expect(code_of(client)).to eq "SH"
      silent = Backends.silent
      client = connect.write(Puppet.to(silent, inactivity_timeout: 0.05))
      client.read_all
      expect(code_of(client)).to eq "sH"
    end

    it "CD, the client reset it after the answer" do
      client = connect.write(Puppet.to(echo))
      client.read(1)
      address = client.address
      client.reset
      expect(code_of(address)).to eq "CD"
    end

    it "cR and RR, a limit before the decision" do
      limited = start("decision_timeout 0.05\nmax_preread 1000\n")
      client = connect(limited)
      client.read_all
      expect(code_of(client)).to eq "cR"
      client = connect(limited).write("x" * 2000)
      expect(client).to be_ended
      expect(code_of(client)).to eq "RR"
    end

    it "cD, nothing moved for the idle_timeout" do
      limited = start("idle_timeout 0.1\n")
      # It is cH for one whose backend had no time to answer at all.
      eventually do
        client = connect(limited).write(Puppet.to(echo))
        client.read_all
        expect(code_of(client)).to eq "cD"
      end
    end

    it "PP, the PROXY header is not to be trusted" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
      start("listen '127.0.0.1:#{port}', :name => :front, :proxy_protocol => ['192.0.2.0/24']\n")
      client = Client.new(port).write("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n")
      expect(client).to be_ended
      entry = entry_of(client)
      expect([entry[:code], entry[:listener]]).to eq %w[PP front]
    end

    it "KR and KD, a drain cut it off" do
      undecided = connect.write("undecided")
      relayed = connect.write(Puppet.to(echo))
      relayed.read(1)
      2.times do |number|
        proxy.signal("INT")
        proxy.await(/Received INT/) if number.zero?
      end
      proxy.wait
      expect([code_of(undecided), code_of(relayed)]).to eq %w[KR KD]
    end
  end

  it "is documented code by code" do
    source = File.read(File.expand_path("../../ext/engine/src/account.rs", __dir__))
    codes = source.scan(/\("(..)", "([^"]+)", (?:true|false)\)/)
    page = File.read(File.expand_path("../../docs/logs.md", __dir__))
    expect(page.scan(/^\| `(..)` \| (.+) \|$/)).to eq codes
  end

  it "is written to the standard output for -" do
    proxy = Puppet.start("", args: ["-h", "127.0.0.1", "-p", "0", "--access-log", "-"])
    client = connect(proxy).write("{ :close => 'x' }\n")
    client.read_all
    eventually { expect(proxy.stdout.lines(chomp: true)).to include(a_string_starting_with(client.address)) }
  end

  it "is JSON like the rest with log_format json" do
    proxy = start("", "--log-format", "json")
    client = connect(proxy).write("{ :close => 'x' }\n")
    client.read_all
    record = JSON.parse(eventually { lines.first })
    expect(record).to include("client" => client.address, "remote" => nil, "code" => "PR", "bytes_to_client" => 1)
  end

  it "is opened again at USR1" do
    connect.write("{ :close => 'x' }\n").read_all
    eventually { expect(lines.size).to eq 1 }
    File.rename(file, "#{file}.1")
    proxy.signal("USR1")
    proxy.await(/Reopened/)
    connect.write("{ :close => 'x' }\n").read_all
    eventually { expect(lines.size).to eq 1 }
  end

  it "goes elsewhere after a reload" do
    other = File.join(dir, "other")
    proxy = Puppet.start("access_log #{file.inspect}\n")
    File.write(proxy.config_path, "#{Puppet::CONFIG}access_log #{other.inspect}\n")
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    connect(proxy).write("{ :close => 'x' }\n").read_all
    eventually { expect(File.exist?(other) && File.size(other)).to be_positive }
    expect(lines).to eq []
  end

  it "on a full disk costs its lines only" do
    proxy = Puppet.start("access_log '/dev/full'\n")
    3.times { expect(ask("{ :close => 'x' }\n", proxy)).to eq "x" }
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  it "that cannot be written is an error at the start" do
    child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "--access-log", "/no/such/directory/access"])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(%r{\Aproxymachine: cannot write the access log /no/such/directory/access: })
  end

  it "has every connection of a busy server, each once" do
    clients = Array.new(4) { Thread.new { Array.new(100) { ask("{ :close => 'x' }\n") } } }
    expect(clients.flat_map(&:value)).to all eq("x")
    proxy.signal("QUIT")
    proxy.wait
    expect(lines.map { |text| text[/\A\S+/] }.uniq.size).to eq 400
    expect(lines).to all match(line)
  end
end
