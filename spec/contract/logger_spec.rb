# frozen_string_literal: true

# CONTRACT 1: LOGGER belongs to the config as much as to the server.
RSpec.describe "LOGGER" do
  serving = "proxy { |data| { :close => true } }\n"

  it "is a Logger on the standard output, in Ruby's own format" do
    proxy = ProxyProcess.start(serving)
    expect(proxy.stdout.lines.first)
      .to match(/\AI, \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\]  INFO -- : Listening on 127\.0\.0\.1:\d+\n\z/)
  end

  it "is there for the classes, the block and the callbacks of the config" do
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

  it "may be reassigned to a file, with Ruby's warning, and then gets every line there" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE)\n#{serving}", log: :file)
    expect(proxy.stderr).to include "already initialized constant LOGGER"
    client = connect(proxy).write("x")
    proxy.await("INFO Accepted #{client.address}")
    proxy.await(answer_line(client, { close: true }))
    expect(proxy.stdout).to eq ""
  end

  it "stays what it is when a config defines it only if undefined" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(LOG_FILE) unless defined?(LOGGER)\n#{serving}")
    expect(proxy.stdout).to include "Listening on"
    expect(File.exist?(File.join(proxy.dir, "log"))).to be false
  end

  it "gets the lines that are written while it is LOGGER, when it is exchanged at run time" do
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

  it "need only know info, warn and error" do
    nobody = address_of_refused
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

  it "is given Strings" do
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
    nobody = address_of_refused
    proxy = ProxyProcess.start(<<~RUBY, log: :terse)
      LOGGER.level = Logger::WARN
      proxy { |data| { :remote => #{nobody.inspect} } }
    RUBY
    ask("x", proxy)
    proxy.await("ERROR Connect #{nobody} failed after ten attempts.")
    expect(proxy.stdout).not_to include "INFO"
    expect(proxy.stdout.scan("WARN").size).to eq 10
  end

  it "may be silenced altogether, as the original's test config does" do
    proxy = ProxyProcess.start("LOGGER = Logger.new(File.new('/dev/null', 'w'))\n#{serving}", log: :none)
    expect(ask("x", proxy)).to eq ""
    expect(proxy.stdout).to eq ""
  end

  it "does not lag, nor does what the config prints, whether the standard output is a file or a pipe" do
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
