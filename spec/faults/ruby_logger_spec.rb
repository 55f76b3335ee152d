# frozen_string_literal: true

# LOGGERs that fail may lose lines, but no connection. Valid LOGGERs are in spec/contract/logger_spec.rb.
RSpec.describe "Failing LOGGER:" do
  running(:echo) { Backends.echo }

  # Starts a server and replaces its LOGGER while it runs.
  def with_logger(source, **options)
    proxy = ScriptedProxy.start("LOG = LOG_FILE", **options)
    expect(ask("Object.send(:remove_const, :LOGGER); #{source}; { :close => 'replaced' }\n", proxy)).to eq "replaced"
    proxy
  end

  def relay_by(proxy)
    connect(proxy).write(ScriptedProxy.route_to(echo)).tap do |relay|
      expect(relay.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
    end
  end

  # Causes every kind of line: a relay, an exception, an invalid answer.
  def expect_service(proxy)
    relay = relay_by(proxy)
    answers = ["raise 'a mistake'", "42", "{ :close => 'served' }"].map { |source| ask("#{source}\n", proxy) }
    expect(answers).to eq ["", "", "served"]
    expect(relay.write("still there?").read(12)).to eq "still there?"
    relay.stop
    eventually { expect(ask("{ :close => ProxyMachine.count.to_s }\n", proxy)).to eq "1" }
  end

  # Ends the server, which writes many lines, and expects a regular exit.
  def expect_end(proxy)
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(proxy.stderr).not_to match LeakCheck::FORBIDDEN_OUTPUT
  end

  levels = lambda do |body|
    "Class.new { %w[info warn error].each { |level| define_method(level) { |text| #{body} } } }.new"
  end
  {
    "that raises" => levels.call("raise 'broken logger'"),
    "that raises what is no StandardError" => levels.call("raise NotImplementedError"),
    "that throws" => levels.call("throw :nobody"),
    "that answers with garbage" => levels.call("BasicObject.new"),
    "that freezes and spoils its lines" => levels.call("text.clear; text.freeze"),
    "that cannot tell its level" => "#{levels.call("nil")}.tap { |l| def l.info?() raise 'who knows' end }",
    "that lies about its level" => "#{levels.call("nil")}.tap { |l| def l.info?() BasicObject.new end }",
    "that knows nothing" => "Object.new",
    "that is nil" => "nil",
    "that is a BasicObject" => "BasicObject.new",
    "whose class lies" => "#{levels.call("nil")}.tap { |l| def l.class() Logger end; def l.is_a?(*) true end }",
    "that is slow" => levels.call("sleep 0.02"),
    "whose formatter raises" => "Logger.new($stdout, :formatter => proc { raise 'broken formatter' })",
    "whose file was closed" => "Logger.new(File.open(LOG, 'w').tap(&:close))",
    "whose file was removed" => "Logger.new(LOG).tap { File.delete(LOG) }"
  }.each do |what, source|
    it "#{what}: only lines are lost" do
      proxy = with_logger("LOGGER = #{source}")
      expect_service(proxy)
      expect_end(proxy)
    end
  end

  # So slow that the server interrupts it more than once at the end.
  it "slow in the last lines: only the end of the server is delayed" do
    body = "sleep 0.6 if text.include?('Waiting'); puts text"
    proxy = with_logger("LOGGER = #{levels.call(body)}")
    expect_service(proxy)
    expect_end(proxy)
    expect(proxy.stdout).to end_with "Waiting for 0 connections to finish.\n"
  end

  # Does not end the server by a signal: a trap that runs with an exhausted stack fails in every Ruby program.
  it "endless recursion: only lines are lost" do
    expect_service(with_logger("LOGGER = #{levels.call("public_send(level, text)")}"))
  end

  it "removed constant: only lines are lost" do
    proxy = with_logger("nil")
    expect_service(proxy)
    expect_end(proxy)
  end

  it "constant removed and defined again: logging continues" do
    proxy = ScriptedProxy.start
    ask("$kept = Object.send(:remove_const, :LOGGER); { :close => true }\n", proxy)
    ask("{ :close => true }\n", proxy)
    ask("LOGGER = $kept; { :close => true }\n", proxy)
    proxy.mark_log
    client = connect(proxy)
    proxy.await("INFO Accepted #{client.address}")
  end

  it "closed pipe: only lines are lost" do
    reader, writer = IO.pipe
    proxy = ScriptedProxy.start("", stdout: writer, log: :none)
    expect(reader.wait_readable(Eventually::DEADLINE) && reader.gets).to include "Listening on"
    [reader, writer].each(&:close)
    expect_service(proxy)
    expect_end(proxy)
  end

  it "full pipe: lines wait, established connections go on" do
    reader, writer = IO.pipe
    proxy = ScriptedProxy.start("", stdout: writer, log: :none)
    writer.close
    relay = relay_by(proxy)
    clients = Array.new(200) { connect(proxy).write("{ :close => 'x' * 900 } # #{"x" * 900}\n") }
    100.times { expect(relay.write("message").read(7)).to eq "message" }
    reading = Thread.new { reader.read }
    expect(clients.map(&:read_all).uniq).to eq ["x" * 900]
    relay.stop
    expect_end(proxy)
    expect(reading.value.scan(" INFO -- : Accepted ").size).to eq 201
  ensure
    reader.close
  end

  it "full pipe for ever: the server still ends" do
    reader, writer = IO.pipe
    proxy = ScriptedProxy.start("LOG = LOG_FILE", stdout: writer, log: :none)
    filling = "loop { $stdout.write_nonblock('x') } rescue File.write(LOG, 'full')"
    client = connect(proxy).write("#{filling}; sleep\n")
    eventually { expect(File.exist?(File.join(proxy.dir, "log"))).to be true }
    client.reset
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  ensure
    [reader, writer].each(&:close)
  end

  # The connection attempts of one client write lines while the block of another client sleeps.
  it "too many lines during a slow block: some are dropped, and their number is logged", time_limit: 600 do
    proxy = ScriptedProxy.start("admin 0; AWAKE = LOG_FILE")
    route = "{ :remote => [#{refused_address.inspect}] * 1000, :retries => 200, :retry_delay => 0 }"
    dialing = connect(proxy).write("#{route}\n")
    eventually { proxy.log.include?("Establishing new connection") }
    sleeper = connect(proxy).write("sleep 0.01 until File.exist?(AWAKE); { :close => 'awake' }\n")
    # Many attempts may take long; no progress at all would be an error.
    (10..200).step(10) do |round|
      eventually { Admin.get(proxy, "/metrics")[/^proxymachine_connect_retries_total.* (\d+)$/, 1].to_i >= round }
    end
    File.write(File.join(proxy.dir, "log"), "")
    expect([sleeper, dialing].map(&:read_all)).to eq ["awake", ""]
    lost = eventually { proxy.log[/WARN -- : Lost (\d+) log lines: 100000 waited for a block or for the log\.$/, 1] }
    expect(lost.to_i).to be_positive
    expect_service(proxy)
    expect_end(proxy)
  end

  it "full disk: only lines are lost" do
    proxy = with_logger("LOGGER = Logger.new(File.open('/dev/full', 'w').tap { |file| file.sync = true })")
    expect_service(proxy)
    expect_end(proxy)
  end

  it "full disk behind the standard output: only lines are lost" do
    proxy = ScriptedProxy.start("", stdout: "/dev/full", log: :none)
    expect_service(proxy)
    expect_end(proxy)
  end

  it "disk full for a while: logging continues when there is room" do
    Dir.mktmpdir("proxymachine-spec") do |disk|
      through = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', disk]
      skip "mounting is not allowed here" unless system(*through, "true", err: File::NULL)

      proxy = with_logger("DISK = '#{disk}'; LOGGER = Logger.new(DISK + '/log')", through: through)
      ask("File.write(DISK + '/rest', 'x' * 1_000_000) rescue $full = $!.class; { :close => true }\n", proxy)
      expect(ask("{ :close => $full.to_s }\n", proxy)).to eq "Errno::ENOSPC"
      100.times { expect(ask("raise 'a mistake'\n", proxy)).to eq "" } # more than the last page of the log can hold
      expect_service(proxy)
      ask("File.delete(DISK + '/rest'); { :close => true }\n", proxy)
      ask("raise 'there is room'\n", proxy)
      log = ask("{ :close => File.read(DISK + '/log') }\n", proxy)
      expect(log.scan("a mistake").size).to be < 100
      expect(log).to include "RuntimeError - there is room"
      expect_end(proxy)
    end
  end
end
