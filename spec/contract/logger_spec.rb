# frozen_string_literal: true

# CONTRACT 1: the config may use, configure and replace LOGGER.
RSpec.describe "LOGGER:" do
  serving = "proxy { |data| { :close => true } }\n"

  it "is a Logger on the standard output with Ruby's default format" do
    proxy = ProxyProcess.start(serving)
    expect(proxy.stdout.lines.first)
      .to match(/\AI, \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\]  INFO -- : Listening on 127\.0\.0\.1:\d+\n\z/)
  end

  it "is visible in the classes, the block and the callbacks of the config" do
    proxy = ProxyProcess.start(<<~'RUBY')
      class Lookup
        def self.find(name) LOGGER.warn("looking for #{name}"); "unknown" end
      end
      LOGGER.info "loading"
      proxy { |data| { :close => Lookup.find(data) } }
    RUBY
    expect(ask("bob", proxy)).to eq "unknown"
    expect(proxy.await("WARN looking for bob")).to be_truthy
    expect(proxy.stdout).to match(/\AI,.* INFO -- : loading$/)
  end

  it "may be reassigned to a Logger on a file, without Ruby's warning; all lines then go to the file" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE)\n#{serving}", log: :file)
    expect(proxy.stderr).to eq ""
    client = connect(proxy).write("x")
    proxy.await("INFO Accepted #{client.address}")
    proxy.await(answer_log_line(client, { close: true }))
    expect(proxy.stdout).to eq ""
  end

  it "may be reassigned under ruby -w, at a reload and in each worker without a warning" do
    config = "LOGGER = Logger.new(LOG_FILE)\n#{serving}"
    verbose = { env: { "RUBYOPT" => "-w" } }
    proxy = ProxyProcess.start(config, log: :file, **verbose)
    proxy.signal("HUP")
    proxy.await(/\AINFO Reloaded/)
    cluster = ProxyProcess.new(config, log: :none, args: %w[-h 127.0.0.1 -p 0 --workers 2], **verbose)
    eventually { expect(cluster.stdout).to include "Serving with 2 workers" }
    expect([proxy, cluster].map { |process| process.stderr[/.*LOGGER.*/] }).to eq [nil, nil]
  end

  it "is warned about if a config assigns it twice; other constants are warned about as ever" do
    proxy = ProxyProcess.start(<<~RUBY, log: :file)
      TABLE = {}
      TABLE = {}
      LOGGER = Logger.new($stdout)
      LOGGER = Logger.new(LOG_FILE)
      #{serving}
    RUBY
    expect(proxy.stderr.scan(/config\.rb:(\d).*already initialized constant (\w+)/)).to eq [%w[2 TABLE], %w[4 LOGGER]]
  end

  it "is not replaced by a config that defines it only if undefined" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE) unless defined?(LOGGER)\n#{serving}")
    expect(proxy.stdout).to include "Listening on"
    expect(File.exist?(File.join(proxy.dir, "log"))).to be false
  end

  it "may be replaced at run time; each line goes to the LOGGER of its moment" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy do |data|
        if data == "exchange"
          Object.send(:remove_const, :LOGGER)
          Object.const_set(:LOGGER, Logger.new(LOG_FILE))
        end
        { :close => "ok" }
      end
    RUBY
    second = connect(proxy)
    proxy.await("INFO Accepted #{second.address}")
    ask("exchange", proxy)
    second.write("after").read_all
    other = File.join(proxy.dir, "log")
    eventually { expect(File.read(other)).to include "INFO -- : #{second.address} " }
    expect(proxy.stdout).not_to include "INFO -- : #{second.address} "
  end

  it "needs only the methods info, warn and error" do
    nobody = refused_address
    proxy = ProxyProcess.start(<<~RUBY)
      class Notes
        %w[info warn error].each { |level| define_method(level) { |text| puts "X, [note] \#{level.upcase} -- : \#{text}" } }
      end
      LOGGER = Notes.new
      proxy { |data| data == "fail" ? raise("a mistake") : { :remote => #{nobody.inspect} } }
    RUBY
    ask("fail", proxy)
    proxy.await("ERROR RuntimeError - a mistake")
    ask("refused", proxy)
    proxy.await("WARN Retrying connection with #{nobody} (#1)")
    proxy.await("INFO Establishing new connection with #{nobody}")
  end

  it "receives Strings" do
    proxy = ProxyProcess.start(<<~'RUBY')
      LOGGER = Class.new do
        %w[info warn error].each { |level| define_method(level) { |text| puts "#{text.class}: #{text}" } }
      end.new
      proxy { |data| raise "a mistake" }
    RUBY
    ask("x", proxy)
    eventually { expect(proxy.stdout).to include "String: RuntimeError - a mistake" }
    expect(proxy.stdout.lines).to all(start_with("String: "))
  end

  it "may be silenced by its level" do
    nobody = refused_address
    proxy = ProxyProcess.start(<<~RUBY, log: :terse)
      LOGGER.level = Logger::WARN
      proxy { |data| { :remote => #{nobody.inspect} } }
    RUBY
    ask("x", proxy)
    proxy.await("ERROR Connect #{nobody} failed after ten attempts.")
    expect(proxy.stdout).not_to include "INFO"
    expect(proxy.stdout.scan("WARN").size).to eq 10
  end

  it "may be silenced entirely, as the test config of 1.2.4 does" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(File.new('/dev/null', 'w'))\n#{serving}", log: :none)
    expect(ask("x", proxy)).to eq ""
    expect(proxy.stdout).to eq ""
  end

  it "writes without delay, as puts in the config does, to a file and to a pipe" do
    config = "#{serving}puts 'loaded'\n"
    expect(ProxyProcess.start(config).stdout).to match(/\Aloaded\n.*Listening on/m)
    reader, writer = IO.pipe
    ProxyProcess.new(config, stdout: writer)
    lines = Array.new(2) { reader.wait_readable(Eventually::DEADLINE) && reader.gets }
    expect(lines).to match ["loaded\n", / INFO -- : Listening on 127\.0\.0\.1:\d+$/]
  ensure
    [reader, writer].each(&:close)
  end
end
