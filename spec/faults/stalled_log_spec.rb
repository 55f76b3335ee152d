# frozen_string_literal: true

require "pty"

# A log that takes no lines: decisions, readiness and the end of the server do not wait for it. Lines beyond a limit are
# lost, counted, and reported when the log takes lines again.
RSpec.describe "Stalled log:" do
  let(:opened) { [] }

  after { opened.each { |io| io.close unless io.closed? } }

  # A pair of ends, closed after the example.
  def ends(pair)
    opened.concat(pair)
    pair
  end

  # Unlike ScriptedProxy, without a callback that writes to the standard output: it would wait for the reader.
  def start(writer, more = "", **options)
    ProxyProcess.start(config(more), stdout: writer, log: :none, **options)
  end

  def config(more = "")
    "slow_block 3600\nproxy { |line| eval(line) }\nadmin 'unix:' + LOG_FILE\n#{more}"
  end

  def admin(path, to = proxy)
    Admin.at(File.join(to.dir, "log"), path)
  end

  def dropped(to = proxy)
    admin("/metrics", to)[/^proxymachine_log_lines_dropped_total (\d+)$/, 1].to_i
  end

  def expect_decisions(to = proxy)
    expect(Array.new(20) { ask("{ :close => 'decided' }\n", to) }).to all eq("decided")
    expect(admin("/readyz", to)).to start_with "HTTP/1.0 200"
  end

  # Writes more lines than any pipe holds, or more than the server holds, too. Two lines name all remotes. They are
  # shorter than PIPE_BUF, so that they do not mix with those of other processes.
  def fill(to = proxy, rounds: 1)
    retries = (8 * (rounds + 1)) - 1
    route = "{ :remote => ['#{refused_address}'] * 125, :retries => #{retries}, :retry_delay => 0 }\n"
    expect(ask(route, to)).to eq ""
  end

  # Takes all that was logged until the server has ended.
  def read_log(reader, signal: "QUIT", to: proxy)
    reading = Thread.new { read_all(reader) }
    yield if block_given?
    to.signal(signal)
    expect(to.wait).to be_success
    opened.each { |io| io.close unless io == reader || io.closed? }
    reading.value
  end

  # The end of a terminal is an error.
  def read_all(reader)
    text = +""
    loop { text << reader.readpartial(65_536) }
  rescue EOFError, Errno::EIO
    text.force_encoding(Encoding::UTF_8).gsub("\r\n", "\n")
  end

  # Every line is whole, and the lines of one kind are in order.
  def expect_whole_lines(log)
    expect(log.lines).to all match(ProxyProcess::LINE)
    accepted = log.scan(/INFO -- : Accepted \S+:(\d+)$/)
    expect(accepted).to eq accepted.uniq
  end

  {
    "pipe" => -> { IO.pipe },
    "socket" => -> { UNIXSocket.pair },
    "terminal" => -> { PTY.open }
  }.each do |kind, open|
    describe "a #{kind} whose reader stands still" do
      let(:pair) { ends(open.call) }
      let!(:proxy) { start(pair.last) }

      before { fill }

      it "does not hold up decisions, and has all lines when it is read again" do
        expect_decisions
        log = read_log(pair.first)
        expect(log.scan("Establishing new connection").size).to eq 2000
        expect(log.scan({ close: "decided" }.inspect).size).to eq 20
        expect(log).to end_with "Waiting for 0 connections to finish.\n"
        expect_whole_lines(log)
      end

      it "does not hold up the end" do
        connect(proxy).write("sleeping")
        proxy.signal("TERM")
        expect(proxy.wait(within: 18).exitstatus).to eq(0).or eq(1)
      end
    end
  end

  it "lines beyond the limit are lost and counted, and a warning tells their number" do
    reader, writer = ends(IO.pipe)
    proxy = start(writer)
    10.times { fill(proxy, rounds: 6) } # one alone could take longer than a client waits on a busy machine
    expect_decisions(proxy)
    eventually { expect(dropped(proxy)).to be_positive }
    log = read_log(reader, to: proxy) do
      eventually { expect(ask("{ :close => 'x' }\n", proxy)).to eq "x" }
    end
    expect(log).to match(/WARN -- : Lost \d+ log lines: the log was not read\.$/)
    expect_whole_lines(log)
  end

  {
    "LOGGER of the config's own" =>
      "Class.new { %w[info warn error].each { |l| define_method(l) { |t| $stdout.puts(t) } } }.new",
    "Logger with a device of the config's own" =>
      "Logger.new(Class.new { def write(t) $stdout.write(t) end; def close() end }.new)",
    "Logger with a formatter" => "Logger.new($stdout, :formatter => proc { |*, text| text + \"\\n\" })",
    "subclass of Logger" => "Class.new(Logger).new($stdout)"
  }.each do |kind, source|
    it "a #{kind} that blocks does not hold up decisions, readiness or the end" do
      reader, writer = ends(IO.pipe)
      proxy = start(writer, "Object.send(:remove_const, :LOGGER); LOGGER = #{source}\n")
      fill(proxy, rounds: 2)
      expect_decisions(proxy)
      log = read_log(reader, to: proxy)
      expect(log.scan("Establishing new connection").size).to eq 3000
      expect(log).to end_with "Waiting for 0 connections to finish.\n"
    end
  end

  it "a LOGGER that never returns does not hold up decisions or the end" do
    proxy = start("/dev/null", <<~'RUBY')
      Object.send(:remove_const, :LOGGER)
      LOGGER = Class.new { %w[info warn error].each { |l| define_method(l) { |t| sleep if t.include?("Accepted") } } }.new
    RUBY
    expect(Array.new(20) { ask("{ :close => 'decided' }\n", proxy) }).to all eq("decided")
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  it "--workers: neither the workers nor their parent wait for the log" do
    reader, writer = ends(IO.pipe)
    proxy = start_workers(writer)
    8.times { fill(proxy) }
    expect_decisions(proxy)
    old = workers_of(proxy)
    proxy.signal("HUP")
    eventually { expect(workers_of(proxy) & old).to be_empty }
    expect_decisions(proxy)
    log = read_log(reader, to: proxy)
    expect(log).to include "INFO -- : Reloaded"
    expect(log.lines).to all match(ProxyProcess::LINE)
  end

  it "reload, reopening and upgrade do not wait for the log" do
    reader, writer = ends(IO.pipe)
    proxy = start(writer)
    fill(proxy)
    File.write(proxy.config_path, File.read(proxy.config_path).sub("slow_block 3600", "slow_block 3601"))
    proxy.signal("USR1")
    proxy.signal("HUP")
    eventually { expect(admin("/status.json", proxy)).to include '"3601"' }
    expect_decisions(proxy)
    reading = Thread.new { read_all(reader) }
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    writer.close
    expect(reading.value).to include("Reopened the log files.", "Reloaded #{proxy.config_path}")
  end

  it "O_NONBLOCK that another process sets on the pipe loses no line" do
    reader, writer = ends(IO.pipe)
    proxy = start(writer)
    writer.fcntl(4, 0o4000) # F_SETFL, O_NONBLOCK
    fill(proxy)
    expect(read_log(reader, to: proxy).scan("Establishing new connection").size).to eq 2000
  end

  it "lines for a pipe without a reader are counted" do
    reader, writer = ends(IO.pipe)
    proxy = start(writer)
    reader.close
    fill(proxy)
    eventually { expect(dropped(proxy)).to be > 1000 }
    expect(proxy.stderr.scan("log writing failed. Broken pipe").size).to eq 1
  end

  it "lines for a full disk are counted, also if standard error stands still" do
    reader, writer = ends(IO.pipe)
    proxy = start("/dev/full", "$stderr.reopen(IO.for_fd(#{writer.fileno}))\n", writer.fileno => writer.fileno)
    3.times { fill(proxy) }
    expect_decisions(proxy)
    eventually { expect(dropped(proxy)).to be > 3000 }
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    writer.close
    expect(reader.read.scan("log writing failed. No space left on device").size).to eq 1
  end

  # Without a log, nothing but the test knows the port.
  def start_workers(writer)
    port = free_port
    arguments = ["-h", "127.0.0.1", "-p", port.to_s, "--workers", "2"]
    proxy = ProxyProcess.new(config, stdout: writer, log: :none, args: arguments)
    eventually { expect(proxy.title).to end_with "2 workers" }
    proxy.define_singleton_method(:port) { port }
    proxy
  end

  def workers_of(proxy)
    proxy.children.select do |pid|
      File.read("/proc/#{pid}/cmdline").match?(/ - worker /)
    end
  rescue SystemCallError
    []
  end
end
