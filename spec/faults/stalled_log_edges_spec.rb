# frozen_string_literal: true

# Logs that cannot be written from the start, or that stand still while the server is operated.
RSpec.describe "Stalled log, edges:" do
  let(:opened) { [] }

  after { opened.each { |io| io.close unless io.closed? } }

  def pipe
    IO.pipe.tap { |ends| opened.concat(ends) }
  end

  def config(more = "")
    "slow_block 3600\nproxy { |line| eval(line) }\nadmin 'unix:' + LOG_FILE\n#{more}"
  end

  def admin(path, proxy)
    Admin.at(File.join(proxy.dir, "log"), path)
  end

  # Returns nil if the response is cut off: a process that ends gives it a short time only.
  def serving_pid(proxy)
    admin("/status.json", proxy)[/"pid": ?(\d+)/, 1]&.to_i
  end

  def dropped(proxy)
    admin("/metrics", proxy)[/^proxymachine_log_lines_dropped_total (\d+)$/, 1].to_i
  end

  def expect_decisions(proxy)
    expect(Array.new(20) { ask("{ :close => 'decided' }\n", proxy) }).to all eq("decided")
    expect(admin("/readyz", proxy)).to start_with "HTTP/1.0 200"
  end

  # Writes more lines than a pipe holds.
  def fill(proxy)
    route = "{ :remote => ['#{refused_address}'] * 1000, :retries => 1, :retry_delay => 0 }\n"
    expect(ask(route, proxy)).to eq ""
  end

  def expect_end(proxy)
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end

  describe "a FIFO as access log" do
    let(:fifo) { File.join(Dir.mktmpdir("proxymachine-spec"), "fifo").tap { |path| File.mkfifo(path) } }

    after { FileUtils.rm_rf(File.dirname(fifo)) }

    it "needs no reader at the start, at USR1 or at the end" do
      proxy = ProxyProcess.start(config("access_log #{fifo.inspect}"))
      expect_decisions(proxy)
      proxy.signal("USR1")
      proxy.await("INFO Reopened the log files.")
      expect_decisions(proxy)
      expect_end(proxy)
    end

    it "gets the lines of connections that ended before its reader came" do
      proxy = ProxyProcess.start(config("access_log #{fifo.inspect}"))
      expect_decisions(proxy)
      File.open(fifo) do |reader|
        20.times { expect(reader.gets).to match(/^127\.0\.0\.1:\d+ \[/) }
        expect_end(proxy)
      end
    end
  end

  it "an access log on a full disk is warned of once, and its lines are counted" do
    proxy = ProxyProcess.start(config("access_log '/dev/full'"))
    expect_decisions(proxy)
    proxy.await("WARN Cannot write the access log: No space left on device.")
    expect_decisions(proxy)
    eventually { expect(dropped(proxy)).to be >= 40 }
    expect(proxy.lines.grep(/Cannot write/).size).to eq 1
    expect_end(proxy)
  end

  it "a standard output that is closed at the start loses lines only" do
    proxy = ProxyProcess.start(config, log: :none, through: ["sh", "-c", 'exec "$0" "$@" >&-'])
    expect_decisions(proxy)
    eventually { expect(dropped(proxy)).to be >= 20 }
    expect(proxy.stderr.scan("log writing failed.").size).to eq 1
    expect_end(proxy)
  end

  it "USR2 upgrades while the log stands still" do
    reader, writer = pipe
    proxy = ProxyProcess.start(config, stdout: writer, log: :none)
    fill(proxy)
    expect(serving_pid(proxy)).to eq proxy.pid
    proxy.signal("USR2")
    successor = eventually { serving_pid(proxy)&.then { |pid| pid unless pid == proxy.pid } }
    expect(proxy.wait).to be_success
    expect_decisions(proxy)
    reading = Thread.new { reader.read }
    Process.kill("QUIT", successor)
    writer.close
    expect(reading.value).to include "Received QUIT signal."
  end

  it "threads N decides while the log stands still" do
    reader, writer = pipe
    proxy = ProxyProcess.start(config("threads 4"), stdout: writer, log: :none)
    fill(proxy)
    expect_decisions(proxy)
    reading = Thread.new { reader.read }
    expect_end(proxy)
    writer.close
    expect(reading.value.scan("Establishing new connection").size).to eq 2000
  end

  describe "a LOGGER that is exchanged" do
    # The block exchanges what its client asks for.
    def start(writer)
      ProxyProcess.start(config, stdout: writer, log: :none)
    end

    {
      "LOGGER.reopen" => "LOGGER.reopen(PATH)",
      "$stdout.reopen" => "$stdout.reopen(PATH, 'a'); $stdout.sync = true",
      "another LOGGER" => "Object.send(:remove_const, :LOGGER); LOGGER = Logger.new(PATH)"
    }.each do |kind, source|
      it "#{kind}: the next line goes to the new file, and the reader of the pipe sees its end" do
        reader, writer = pipe
        proxy = start(writer)
        expect_decisions(proxy)
        path = File.join(proxy.dir, "new log")
        code = source.gsub("PATH", path.inspect)
        code += "; $stdout.reopen('/dev/null')" unless code.start_with?("$stdout")
        expect(ask("#{code}; { :close => 'exchanged' }\n", proxy)).to eq "exchanged"
        expect_decisions(proxy)
        eventually { expect(File.read(path).scan("decided").size).to eq 20 }
        writer.close
        expect(reader.read).to include "Accepted"
        expect_end(proxy)
      end
    end
  end

  it "a block's own lines follow those before them, also in bursts that a pipe does not hold" do
    reader, writer = pipe
    read = Thread.new { reader.read }
    proxy = ProxyProcess.start(config("proxy_connect_error { |_| LOGGER.info('own line') }"),
                               stdout: writer, log: :none)
    fill(proxy)
    expect_end(proxy)
    writer.close
    lines = read.value.lines
    expect(lines.index { |line| line.end_with?("own line\n") })
      .to be > lines.rindex { |line| line.include?("Retrying connection") }
  end
end
