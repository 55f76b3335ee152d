# frozen_string_literal: true

require "json"

# docs/logs.md: the same events for machines, and how much of them.
RSpec.describe "The log" do
  let(:echo) { Backends.echo }

  def start(config = "", *arguments)
    Puppet.start(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
  end

  def records(proxy)
    proxy.log.lines.map { |line| JSON.parse(line) }
  end

  it "is JSON with log_format json, and says the same" do
    proxy = start("log_format :json")
    client = connect(proxy).write(Puppet.to(echo))
    client.read(1)
    proxy.await(/Successful/)
    expect(records(proxy)).to all include("time" => /\A\d{4}-.*T.*\.\d{6}Z\z/, "pid" => proxy.pid,
                                          "level" => /\A[A-Z]+\z/)
    expect(records(proxy)).to include(
      include("message" => "Accepted #{client.address}", "client" => client.address, "listener" => "127.0.0.1:0"),
      include("message" => "Successful connection to #{echo.address}", "remote" => echo.address)
    )
  end

  it "escapes what a client can make it say" do
    proxy = start("", "--log-format", "json")
    ask(%(raise "quote \\" newline \\n end"\n), proxy)
    found = eventually { records(proxy).find { |record| record["level"] == "ERROR" } }
    expect(found["message"]).to eq %(RuntimeError - quote " newline )
    expect(found["client"]).to match(/\A127/)
  end

  it "is JSON for the config's own lines, too" do
    proxy = start("", "--log-format", "json")
    ask("LOGGER.warn(:mine); { :close => 'x' }\n", proxy)
    eventually { expect(records(proxy)).to include(include("message" => ":mine", "level" => "WARN")) }
  end

  it "keeps the format of a LOGGER that has its own" do
    config = "LOGGER = Logger.new($stdout, :formatter => proc { |*, text| \"own \#{text}\\n\" })\nlog_format :json\n"
    proxy = ProxyProcess.new(config + Puppet::CONFIG)
    eventually { expect(proxy.stdout).to match(/^own Listening on/) }
  end

  it "can be turned to JSON and back by a reload" do
    proxy = Puppet.start
    { "json" => /^\{.*Reloaded/, "text" => /^I, .*Reloaded/ }.each do |format, expected|
      File.write(proxy.config_path, "log_format '#{format}'\n#{Puppet::CONFIG}")
      proxy.mark
      proxy.signal("HUP")
      eventually { expect(proxy.recent_log).to match(expected) }
    end
  end

  it "tells only what log_level lets through" do
    proxy = start("", "--log-format", "json", "--log-level", "info")
    expect(records(proxy).map { |record| record["level"] }).to include "INFO"
    quiet = ProxyProcess.new(Puppet::CONFIG, args: ["-h", "127.0.0.1", "-p", "0", "--log-level", "error"], log: :none)
    quiet.await_listening
    ask("42\n", quiet)
    eventually { expect(quiet.stdout).to match(/ERROR -- : .* invalid answer 42/) }
    expect(quiet.stdout.lines.size).to eq 1
  end

  it "stays JSON if a config that assigns LOGGER cannot be reloaded" do
    config = "LOGGER = Logger.new($stdout)\nlog_format :json\n"
    proxy = ProxyProcess.start("#{config}proxy { :close }")
    File.write(proxy.config_path, "#{config}raise 'oh'")
    proxy.mark
    proxy.signal("HUP")
    expect(eventually { proxy.recent_log[/^.*Cannot reload.*$/] }).to start_with "{"
  end

  it "has the level of the LOGGER again once log_level is gone" do
    proxy = ProxyProcess.start("proxy { :close }")
    File.write(proxy.config_path, "log_level :error\nproxy { { :close => 'quiet' } }")
    proxy.signal("HUP")
    eventually { expect(ask("x", proxy)).to eq "quiet" }
    File.write(proxy.config_path, "proxy { { :close => 'loud' } }")
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
  end
end
