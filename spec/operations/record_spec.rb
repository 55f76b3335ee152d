# frozen_string_literal: true

# The setting `record`.
RSpec.describe "record:" do
  let(:recordings) { Recordings.new }

  def start(config, *arguments, **options)
    ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--record", recordings.path, *arguments], **options)
  end

  # The names of recordings that are older than any other.
  def older(count)
    Array.new(count) { |index| "20200101T000000.#{index.to_s.rjust(6, "0")}Z-a-#{index}" }
  end

  # Sends bytes, ends the client's side, and waits until the connection is closed.
  def refuse(bytes, proxy)
    Client.new(proxy.port).write(bytes).finish.read_all
  end

  it "keeps what clients sent whose block raised, answered nonsense or waited for more, and that got no server" do
    refused = refused_address
    proxy = start(<<~CONFIG)
      proxy do |data|
        case data
        when /raise/ then raise "no"
        when /answer/ then 42
        when /server/ then { :remote => #{refused.inspect}, :retries => 0 }
        else :noop
        end
      end
    CONFIG
    %w[raise answer server half].each.with_index(1) do |bytes, count|
      refuse(bytes, proxy)
      recordings.await(count)
    end
    expect(recordings.all.map { |bytes, about| [bytes, *about.values_at("reason", "detail", "bytes")] }).to eq [
      ["raise", "exception", "the block raised an exception; the log shows it", 5],
      ["answer", "invalid answer", "the answer of the block is invalid; the log shows it", 6],
      ["server", "no server", "no server could be connected, #{refused} last (refused)", 6],
      ["half", "undecided", "the client left before a decision", 4]
    ]
  end

  it "keeps nothing of clients that were served, closed by the block, or silent" do
    backend = Backends.echo
    proxy = start("proxy { |data| data == 'go' ? '#{backend.address}' : :close }")
    client = connect(proxy).write("go")
    expect(client.read(2)).to eq "go"
    client.close
    expect(ask("no", proxy)).to eq ""
    expect(refuse("", proxy)).to eq ""
    proxy.signal("TERM")
    proxy.wait
    expect(recordings.files).to eq []
  end

  it "says who, when and why beside the bytes" do
    proxy = start("listen '127.0.0.1:0', :name => :web\nproxy { 42 }")
    client = connect(proxy)
    before = Time.now
    client.write("\xFF\0hello")
    client.read_all
    ((bytes, about)) = recordings.await(1)
    expect(bytes).to eq "\xFF\0hello".b
    port = client.socket.local_address.ip_port
    expect(about).to include("ip" => "127.0.0.1", "port" => port, "client" => "127.0.0.1:#{port}", "bytes" => 7,
                             "received" => 7, "listener" => "127.0.0.1:0", "tls" => false, "pid" => proxy.pid)
    expect(Time.iso8601(about["time"])).to be_within(60).of(before)
    proxy.await(/ERROR 127\.0\.0\.1:#{port} invalid answer/)
    expect(about["connection"]).to match(/\A\w+-\w+\z/)
  end

  it "only its user can read the files, and the directory is made if it is missing" do
    proxy = start("proxy { 42 }")
    refuse("x", proxy)
    recordings.await(1)
    modes = recordings.files.map { |name| File.stat(File.join(recordings.path, name)).mode & 0o777 }
    expect([modes, File.stat(recordings.path).mode & 0o777]).to eq [[0o600, 0o600], 0o700]
  end

  it "keeps 64 KiB of a client at most" do
    proxy = start("proxy { |data| data.size < 100_000 ? :noop : 42 }")
    bytes = Random.bytes(100_000)
    refuse(bytes, proxy)
    ((kept, about)) = recordings.await(1)
    expect(kept == bytes[0, 65_536]).to be true
    expect(about).to include("bytes" => 65_536, "received" => 100_000)
  end

  it "does not keep a PROXY header, nor a wrong one" do
    proxy = start("listen '127.0.0.1:0', :proxy_protocol => ['127.0.0.0/8']\nproxy { 42 }", "--decision-timeout", "1")
    port = Eventually.eventually { proxy.log.scan(/Listening on 127\.0\.0\.1:(\d+)/).flatten.last }
    ["PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\nhello", "garbage", "PROXY TCP4"].each do |sent|
      Client.new(port.to_i).write(sent).read_all
    end
    expect(recordings.await(1).map { |bytes, about| [bytes, about["ip"]] }).to eq [["hello", "192.0.2.1"]]
    proxy.signal("TERM")
    proxy.wait
    expect(recordings.files.size).to eq 2
  end

  it "keeps what has arrived if proxy_accept decided before the first byte" do
    proxy = start("proxy_accept { { :remote => '#{refused_address}', :retries => 20 } }\nproxy { :close }")
    client = connect(proxy).write("hello")
    client.read_all
    expect(recordings.await(1).map(&:first)).to eq ["hello"]
  end

  it "says at the start that it stores what clients send, and nothing without the setting" do
    proxy = start("proxy { 42 }")
    proxy.await("WARN record keeps in #{recordings.path} what clients send that get no server: it may be secret.")
    expect(ProxyProcess.start("proxy { 42 }").settle.lines.grep(/record/i)).to eq []
  end

  it "keeps the newest 1,000 connections" do
    FileUtils.mkdir_p(recordings.path)
    old = older(999)
    old.each { |name| %w[bin json].each { |ending| File.write("#{recordings.path}/#{name}.#{ending}", "{}") } }
    File.write("#{recordings.path}/notes.txt", "mine")
    proxy = start("proxy { 42 }")
    %w[a b c].each.with_index(1) do |bytes, count|
      refuse(bytes, proxy)
      Eventually.eventually { recordings.all.map(&:first).last(count) == %w[a b c].first(count) }
    end
    eventually { expect(recordings.files.size).to eq 2001 }
    expect(old.reject { |name| File.exist?("#{recordings.path}/#{name}.bin") }).to eq old.first(2)
  end

  it "keeps 32 MiB, the texts included" do
    FileUtils.mkdir_p(recordings.path)
    names = older(32)
    names.each { |name| File.write("#{recordings.path}/#{name}.bin", "x" * 1_048_576) }
    proxy = start("proxy { 42 }")
    refuse("new", proxy)
    Eventually.eventually { recordings.all.map(&:first) == ["new"] }
    gone = -> { names.reject { |name| File.exist?("#{recordings.path}/#{name}.bin") } }
    eventually { expect(gone.call).to eq names.first(1) }
    expect(recordings.files.sum { |name| File.size("#{recordings.path}/#{name}") }).to be <= 32 * 1_048_576
  end

  it "all workers together keep the limit" do
    arguments = ["-h", "127.0.0.1", "-p", "0", "--workers", "2", "--record", recordings.path]
    proxy = ProxyProcess.new("proxy { 42 }", args: arguments)
    port = proxy.await(/Serving with 2 workers/)[/:(\d+)\.\z/, 1].to_i
    FileUtils.mkdir_p(recordings.path)
    older(990).each do |name|
      File.write("#{recordings.path}/#{name}.bin", "")
    end
    expect(proxy.log.scan(/record keeps in/).size).to eq 1
    30.times { |index| Client.new(port).write("client #{index}").read_all }
    recordings.await(30)
    eventually { expect(Dir.glob("#{recordings.path}/*.bin").size).to eq 1000 }
  end

  it "a reload changes the directory, and ends the recording" do
    other = Recordings.new
    proxy = ProxyProcess.start("record #{recordings.path.inspect}\nproxy { 42 }")
    refuse("first", proxy)
    recordings.await(1)
    File.write(proxy.config_path, "record #{other.path.inspect}\nproxy { 42 }")
    proxy.signal("HUP")
    proxy.await(/WARN record keeps in #{other.path}/)
    refuse("second", proxy)
    expect(other.await(1).map(&:first)).to eq ["second"]
    File.write(proxy.config_path, "proxy { 42 }")
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    refuse("third", proxy)
    proxy.signal("TERM")
    proxy.wait
    expect([recordings, other].map { |directory| directory.all.map(&:first) }).to eq [["first"], ["second"]]
  end

  it "warns once if nothing can be written, and serves on" do
    File.write(recordings.path, "a file")
    proxy = start("proxy { |data| data == 'x' ? 42 : { :close => 'served' } }")
    warning = "WARN Cannot record into #{recordings.path}: Not a directory."
    proxy.await(warning)
    3.times { refuse("x", proxy) }
    expect(ask("hello", proxy)).to eq "served"
    proxy.signal("TERM")
    proxy.wait
    expect(proxy.lines.count(warning)).to eq 1
  end

  it "the directory belongs to the user that the server runs as" do
    skip "needs root" unless Process.uid.zero?
    FileUtils.chmod(0o755, File.dirname(recordings.path))
    proxy = start("proxy { 42 }", "--user", "nobody")
    refuse("x", proxy)
    recordings.await(1)
    owners = [recordings.path, *Dir.glob("#{recordings.path}/*")].map { |path| Etc.getpwuid(File.stat(path).uid).name }
    expect(owners).to eq %w[nobody nobody nobody]
  end

  it "--route takes such a file, and the client from the text beside it" do
    proxy = start("proxy { 42 }")
    client = connect(proxy).write("hello")
    client.read_all
    recordings.await(1)
    file = Dir.glob("#{recordings.path}/*.bin").first
    File.write(proxy.config_path, 'proxy { |data, client| { :close => "#{data} of #{client}" } }')
    [[], ["--every-cut"]].each do |option|
      child = Child.new(*ProxyProcess.command, "-c", proxy.config_path, "--route", file, *option)
      expect([child.wait.exitstatus, child.stderr]).to eq [option.empty? ? 0 : 1, ""]
      expect(child.stdout).to include "hello of 127.0.0.1:#{client.socket.local_address.ip_port}"
    end
  end

  it "-t warns of a directory that cannot be used, and makes none" do
    check = lambda do |path|
      child = Child.new(*ProxyProcess.command, "-c", File.join(ProxyProcess::ROOT, "examples", "demo.rb"), "-p", "0",
                        "-t", "--record", path)
      [child.wait.exitstatus, child.stdout + child.stderr]
    end
    expect(check[recordings.path]).to match [0, /\Aconfiguration ok\n(?!.*cannot record)/m]
    expect(File.exist?(recordings.path)).to be false
    File.write(recordings.path, "a file")
    expect(check[recordings.path]).to match [0, /^warning: cannot record into #{recordings.path}: Not a directory/]
    expect(check[""]).to match [2, /record takes the path of a directory, not ""/]
  end
end
