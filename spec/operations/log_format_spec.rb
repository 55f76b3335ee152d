# frozen_string_literal: true

require "json"

# docs/logs.md: log_format and log_level.
RSpec.describe "Log format:" do
  let(:echo) { Backends.echo }

  def start(config = "", *arguments)
    ScriptedProxy.start(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
  end

  def records(proxy)
    proxy.log.lines.grep(/\n\z/).map { |line| JSON.parse(line) }
  end

  it "log_format :json has the same events as JSON" do
    proxy = start("log_format :json")
    client = connect(proxy).write(ScriptedProxy.route_to(echo))
    client.read(1)
    proxy.await(/Successful/)
    expect(records(proxy)).to all include("time" => /\A\d{4}-.*T.*\.\d{6}Z\z/, "pid" => proxy.pid,
                                          "level" => /\A[A-Z]+\z/)
    expect(records(proxy)).to include(
      include("message" => "Accepted #{client.address}", "client" => client.address, "listener" => "127.0.0.1:0"),
      include("message" => "Successful connection to #{echo.address}", "remote" => echo.address)
    )
  end

  it "JSON escapes text from clients" do
    proxy = start("", "--log-format", "json")
    ask(%(raise "quote \\" newline \\n end"\n), proxy)
    found = eventually { records(proxy).find { |record| record["level"] == "ERROR" } }
    expect(found["message"]).to eq %(RuntimeError - quote " newline )
    expect(found["client"]).to match(/\A127/)
  end

  it "JSON includes the config's own lines" do
    proxy = start("", "--log-format", "json")
    ask("LOGGER.warn(:mine); { :close => 'x' }\n", proxy)
    eventually { expect(records(proxy)).to include(include("message" => ":mine", "level" => "WARN")) }
  end

  it "a LOGGER with its own formatter keeps it" do
    config = "LOGGER = Logger.new($stdout, :formatter => proc { |*, text| \"own \#{text}\\n\" })\nlog_format :json\n"
    proxy = ProxyProcess.new(config + ScriptedProxy::CONFIG)
    eventually { expect(proxy.stdout).to match(/^own Listening on/) }
  end

  it "a reload switches to JSON and back" do
    proxy = ScriptedProxy.start
    { "json" => /^\{.*Reloaded/, "text" => /^I, .*Reloaded/ }.each do |format, expected|
      File.write(proxy.config_path, "log_format '#{format}'\n#{ScriptedProxy::CONFIG}")
      proxy.mark_log
      proxy.signal("HUP")
      eventually { expect(proxy.recent_log).to match(expected) }
    end
  end

  it "log_level filters lines" do
    proxy = start("", "--log-format", "json", "--log-level", "info")
    expect(records(proxy).map { |record| record["level"] }).to include "INFO"
    quiet = ProxyProcess.new(ScriptedProxy::CONFIG, args: ["-h", "127.0.0.1", "-p", "0", "--log-level", "error"],
                                                    log: :none)
    quiet.await_listening
    ask("42\n", quiet)
    eventually { expect(quiet.stdout).to match(/ERROR -- : .* invalid answer 42/) }
    expect(quiet.stdout.lines.size).to eq 1
  end

  it "JSON stays after a failed reload of a config that assigns LOGGER" do
    config = "LOGGER = Logger.new($stdout)\nlog_format :json\n"
    proxy = ProxyProcess.start("#{config}proxy { :close }")
    File.write(proxy.config_path, "#{config}raise 'oh'")
    proxy.mark_log
    proxy.signal("HUP")
    expect(eventually { proxy.recent_log[/^.*Cannot reload.*$/] }).to start_with "{"
  end

  it "a reload without log_level restores the level of the LOGGER" do
    proxy = ProxyProcess.start("proxy { :close }")
    File.write(proxy.config_path, "log_level :error\nproxy { { :close => 'quiet' } }")
    proxy.signal("HUP")
    eventually { expect(ask("x", proxy)).to eq "quiet" }
    File.write(proxy.config_path, "proxy { { :close => 'loud' } }")
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
  end
end
