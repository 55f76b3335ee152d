# frozen_string_literal: true

require "json"

# docs/logs.md: one line per connection, written at its end, with a termination code.
RSpec.describe "Access log:" do
  line = %r{\A(?<client>\S+)\ \[(?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\]\ (?<listener>\S+)\ (?<remote>\S+)
           \ (?<waiting>\d+)/(?<block>\d+)/(?<connecting>-?\d+)/(?<first>-?\d+)/(?<relaying>-?\d+)/(?<total>\d+)
           \ (?<up>\d+)/(?<down>\d+)\ (?<code>..)\ (?<retries>\d+)
           \ (?<reason>[a-z]+|-)\ (?<id>[0-9a-z]+-[0-9a-z]+)\z}x

  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:file) { File.join(dir, "access") }
  let(:echo) { Backends.echo }
  let(:proxy) { start }

  after { FileUtils.rm_rf(dir) }

  def start(config = "", *arguments)
    ScriptedProxy.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--access-log", file, *arguments])
  end

  def lines
    File.exist?(file) ? File.readlines(file, chomp: true) : []
  end

  # Waits for the line of a client.
  define_method(:entry_of) do |client|
    address = client.is_a?(String) ? client : client.address
    found = eventually { lines.find { |text| text.start_with?("#{address} ") } }
    found.match(line) || raise("not as documented: #{found}")
  end

  # The entry of the block's client, or of the first of them whose code is this one: on a busy machine, the timeout that
  # is meant for another client may come first.
  def entry_that(code)
    eventually do
      client = yield
      address = client.address
      read_and_close(client)
      entry_of(address).tap { |entry| expect(entry[:code]).to eq code }
    end
  end

  # Reads to the end, or to a reset, and closes: a backend that closed may still take what the client sends.
  def read_and_close(client)
    client.read_all
  rescue Errno::ECONNRESET
    nil
  ensure
    client.close
  end

  def code_of(client)
    entry_of(client)[:code]
  end

  it "a line has the fields of docs/logs.md" do
    request = ScriptedProxy.route_to(echo)
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
    expect(entry[:total].to_i).to eq parts.sum
  end

  it "the phases add up to the total, whatever ended the connection" do
    limited = start("decision_timeout 0.3\nidle_timeout 0.3\nmax_preread 1000\n")
    silent = Backends.silent
    messages = {
      "" => "cR", "sleep 0.1; { :noop => true }\n" => "cR", "x" * 2000 => "RR",
      "sleep 0.1; { :close => 'x' }\n" => "PR", "raise 'no'\n" => "XR",
      "{ :remote => '#{refused_address}', :retries => 1 }\n" => "SC", ScriptedProxy.route_to(echo) => "cD",
      ScriptedProxy.route_to(silent, inactivity_timeout: 0.2) => "sH", ScriptedProxy.route_to(Backends.closing) => "SH"
    }
    messages.each do |message, code|
      entry = entry_that(code) { connect(limited).write(message) }
      phases = %w[waiting block connecting relaying].map { |name| entry[name].to_i }.reject(&:negative?)
      expect(phases.sum).to eq(entry[:total].to_i), entry.to_s
    end
  end

  it "the reason says what the code does not" do
    refused = refused_address
    limited = start("decision_timeout 0.3\n")
    answer = ->(remote, more = "") { "{ :remote => '#{remote}', :retries => 0#{more} }\n" }
    reasons = {
      answer[refused] => %w[SC refused],
      answer["no-such-name.invalid:80"] => %w[SC resolve],
      answer["unix:#{dir}/none"] => %w[SC unreachable],
      answer[refused, ", :local_host => '192.0.2.1'"] => %w[SC address],
      ScriptedProxy.route_to(Backends.closing) => %w[SH closed],
      ScriptedProxy.route_to(Backends.resetting) => %w[SH reset],
      ScriptedProxy.route_to(Backends.silent, inactivity_timeout: 0.05) => %w[sH inactive],
      "" => %w[cR silent], "{ :noop => true }\n" => %w[cR undecided], "{ :close => true }\n" => %w[PR -]
    }
    reasons.each do |message, (code, reason)|
      entry = entry_that(code) { connect(limited).write(message) }
      expect(entry[:reason]).to eq(reason), entry.to_s
    end
  end

  it "each connection has its own id" do
    clients = Array.new(3) { connect.write("{ :close => 'x' }\n").tap(&:read_all) }
    ids = clients.map { |client| entry_of(client)[:id] }
    expect(ids.uniq.size).to eq 3
    expect(ids).to all start_with("#{proxy.pid.to_s(36)}-")
  end

  it "separates the time in the block from the time of waiting for it" do
    client = connect.write("sleep 0.2; { :close => 'x' }\n")
    client.read_all
    expect(entry_of(client)[:block].to_i).to be_between(200, 20_000)
  end

  describe "termination code" do
    it "CR: the client disconnected before the decision" do
      client = connect.write("undecided")
      proxy.await(/Accepted/)
      address = client.address
      client.reset
      expect(code_of(address)).to eq "CR"
    end

    it "PR: the block closed the connection; the line has the bytes sent" do
      client = connect.write("{ :close => 'words' }\n")
      client.read_all
      expect(entry_of(client)).to have_attributes(to_s: %r{ - .* 0/5 PR 0 - \S+\z})
    end

    it "AR: the answer is invalid or decides nothing" do
      ["42", "{}", "{ :remote => nil }", "{ :remot => 'x' }", "{ :remote => 'no port' }"].each do |answer|
        client = connect.write("#{answer}\n")
        client.read_all
        expect(code_of(client)).to eq "AR"
      end
    end

    it "XR: the block raised" do
      client = connect.write("raise 'no'\n")
      client.read_all
      expect(code_of(client)).to eq "XR"
    end

    it "SC: no backend could be connected; the line has the retries" do
      refused = refused_address
      client = connect.write("{ :remote => '#{refused}', :retries => 2, :retry_delay => 0 }\n")
      client.read_all
      entry = entry_of(client)
      expect([entry[:code], entry[:remote], entry[:retries]]).to eq ["SC", refused, "2"]
    end

    it "SH and sH: the backend closed or timed out before its first byte" do
      mute = Backends.closing
      client = connect.write(ScriptedProxy.route_to(mute))
      address = client.address
      client.read_all
      client.close
      expect(code_of(address)).to eq "SH"
      silent = Backends.silent
      client = connect.write(ScriptedProxy.route_to(silent, inactivity_timeout: 0.05))
      client.read_all
      expect(code_of(client)).to eq "sH"
    end

    it "CD: the client reset the relay" do
      client = connect.write(ScriptedProxy.route_to(echo))
      client.read(1)
      address = client.address
      client.reset
      expect(code_of(address)).to eq "CD"
    end

    it "cR and RR: a timeout or a limit before the decision" do
      limited = start("decision_timeout 0.05\nmax_preread 1000\n")
      entry_that("cR") { connect(limited) }
      entry_that("RR") { connect(limited).write("x" * 2000) }
    end

    it "cD: idle_timeout" do
      limited = start("idle_timeout 0.1\n")
      # The code is cH if the backend has sent no byte.
      entry_that("cD") { connect(limited).write(ScriptedProxy.route_to(echo)) }
    end

    it "half_closed_timeout: -- after the backend's end, sD and CH after the client's" do
      proxy = start("half_closed_timeout 0.3\n")
      answering = Backend.new { |session| session.read && session.write("reply") && sleep }
      ended = connect(proxy).write(ScriptedProxy.route_to(Backends.once("once")))
      expect(ended.read(4)).to eq "once"
      answered = connect(proxy).write(ScriptedProxy.route_to(answering))
      expect(answered.read(5)).to eq "reply"
      unanswered = connect(proxy).write(ScriptedProxy.route_to(Backends.silent))
      [answered, unanswered].each(&:finish)
      expect([ended, answered, unanswered].map { |client| code_of(client) }).to eq %w[-- sD CH]
    end

    it "PP: an untrusted PROXY header" do
      proxy = start("listen '127.0.0.1:0', :name => :front, :proxy_protocol => ['192.0.2.0/24']\n")
      client = Client.new(listen_addresses(proxy).last[/\d+\z/].to_i).write("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n")
      expect(client).to be_ended
      entry = entry_of(client)
      expect([entry[:code], entry[:listener]]).to eq %w[PP front]
    end

    it "KR and KD: closed by a drain" do
      undecided = connect.write("undecided")
      relayed = connect.write(ScriptedProxy.route_to(echo))
      relayed.read(1)
      2.times do |number|
        proxy.signal("INT")
        proxy.await(/Received INT/) if number.zero?
      end
      proxy.wait
      expect([code_of(undecided), code_of(relayed)]).to eq %w[KR KD]
    end
  end

  it "- writes to the standard output" do
    proxy = ScriptedProxy.start("", args: ["-h", "127.0.0.1", "-p", "0", "--access-log", "-"])
    client = connect(proxy).write("{ :close => 'x' }\n")
    client.read_all
    eventually { expect(proxy.stdout.lines(chomp: true)).to include(a_string_starting_with(client.address)) }
  end

  it "log_format :json writes JSON" do
    proxy = start("", "--log-format", "json")
    client = connect(proxy).write("{ :close => 'x' }\n")
    client.read_all
    record = JSON.parse(eventually { lines.first })
    expect(record).to include("client" => client.address, "remote" => nil, "code" => "PR", "bytes_to_client" => 1,
                              "reason" => nil, "connection" => match(/\A[0-9a-z]+-[0-9a-z]+\z/))
  end

  it "USR1 reopens the file" do
    connect.write("{ :close => 'x' }\n").read_all
    eventually { expect(lines.size).to eq 1 }
    File.rename(file, "#{file}.1")
    proxy.signal("USR1")
    proxy.await(/Reopened/)
    connect.write("{ :close => 'x' }\n").read_all
    eventually { expect(lines.size).to eq 1 }
  end

  it "a reload can move it to another file" do
    other = File.join(dir, "other")
    proxy = ScriptedProxy.start("access_log #{file.inspect}\n")
    File.write(proxy.config_path, "#{ScriptedProxy::CONFIG}access_log #{other.inspect}\n")
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    connect(proxy).write("{ :close => 'x' }\n").read_all
    eventually { expect(File.exist?(other) && File.size(other)).to be_positive }
    expect(lines).to eq []
  end

  it "a reload that turns it off loses no line that waits" do
    File.mkfifo(file)
    reader = File.open(file, File::RDONLY | File::NONBLOCK)
    reader.fcntl(1031, 4096) # F_SETPIPE_SZ: the pipe holds some thirty lines.
    proxy = ScriptedProxy.start("access_log #{file.inspect}\n")
    100.times { ask("{ :close => 'x' }\n", proxy) }
    File.write(proxy.config_path, ScriptedProxy::CONFIG)
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    text = +""
    eventually { (text << reader.read_nonblock(65_536, exception: false).to_s).scan(" PR ").size == 100 }
    open_files = -> { Dir["/proc/#{proxy.pid}/fd/*"].map { |path| File.identical?(path, file) } }
    eventually { expect(open_files.call).to all be false }
  end

  it "the standard output by its name has a reader that can leave" do
    read, write = IO.pipe
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE)\nproxy { :close }\naccess_log '/dev/stdout'\n",
                               log: :file, stdout: write)
    write.close
    read.close
    ask("x", proxy)
    proxy.await("WARN Cannot write the access log: Broken pipe.")
  end

  it "on a full disk, only lines are lost" do
    proxy = ScriptedProxy.start("access_log '/dev/full'\n")
    3.times { expect(ask("{ :close => 'x' }\n", proxy)).to eq "x" }
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  it "an unwritable file is an error at the start" do
    child = ProxyProcess.new("proxy { :close }", args: ["-p", "0", "--access-log", "/no/such/directory/access"])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(%r{\Aproxymachine: cannot write the access log /no/such/directory/access: })
  end

  it "a busy server writes one line per connection" do
    clients = Array.new(4) { Thread.new { Array.new(100) { ask("{ :close => 'x' }\n") } } }
    expect(clients.flat_map(&:value)).to all eq("x")
    proxy.signal("QUIT")
    proxy.wait
    expect(lines.map { |text| text[/\A\S+/] }.uniq.size).to eq 400
    expect(lines).to all match(line)
  end
end
