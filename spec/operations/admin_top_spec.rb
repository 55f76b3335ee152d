# frozen_string_literal: true

require "open3"

# `proxymachine top`, in a real terminal.
RSpec.describe "proxymachine top:" do
  running(:sample) { SampleAdmin.new }

  def top(*arguments, **options)
    Terminal.new(*ProxyProcess.command, "top", *arguments, **options)
  end

  def run(*arguments)
    output, error, status = Open3.capture3(*ProxyProcess.command, "top", *arguments)
    [output.force_encoding(Encoding::UTF_8), error, status.exitstatus]
  end

  it "shows the state and keeps it up to date" do
    terminal = top("--admin", sample.port.to_s, "--interval", "0.2", height: 60)
    eventually { terminal.text.include?("backend  ") }
    expect(terminal.lines.first).to start_with "example: running, ProxyMachine 2.0.0, Ruby 3.3.8, pid 4711, up 3 d"
    expect(terminal.text).to match(/^connections +\d+  peak 1,893 of 32,704/)
    # Rates need two samples, which are a second apart.
    eventually { expect(terminal.text).to match(/^in the block +\S+ [um]?s .* [▁▂▃▄▅▆▇█]+$/) }
    before = terminal.text[/^accepted.*/]
    eventually { terminal.text[/^accepted.*/] != before }
  end

  it "follows the size of the window" do
    terminal = top("--admin", sample.port.to_s, width: 100, height: 30)
    eventually { terminal.text.include?("web ") }
    terminal.resize(50, 6)
    eventually { expect(terminal.lines.size).to eq 6 }
    eventually { expect(terminal.lines.last).to start_with "to backends/s" }
    expect(terminal.lines.first).to eq "example: running, ProxyMachine 2.0.0, Ruby 3.3.8,"
    terminal.resize(120, 80)
    eventually { terminal.text.include?("192.0.2.17:50113") }
  end

  { "q" => "q", "Ctrl-C" => "C-c" }.each do |name, key|
    it "restores the terminal after #{name}" do
      terminal = top("--admin", sample.port.to_s)
      eventually { terminal.text.include?("connections") }
      expect([terminal.value("alternate_on"), terminal.value("cursor_flag")]).to eq %w[1 0]
      terminal.press(key)
      eventually { terminal.text.include?("ended with 0") }
      expect(terminal.text).not_to include "connections"
      expect([terminal.value("alternate_on"), terminal.value("cursor_flag")]).to eq %w[0 1]
      terminal.type("echo typed\n")
      eventually { terminal.lines.include?("typed") }
    end
  end

  it "waits for an unreachable server" do
    proxy = ScriptedProxy.start("admin 0")
    port = Admin.uri(proxy).port
    terminal = top("--admin", port.to_s, "--interval", "0.2")
    eventually { terminal.text.include?("config: running") }
    proxy.stop
    eventually { terminal.text.include?("127.0.0.1:#{port}: Connection refused") }
    ScriptedProxy.start("admin #{port}")
    eventually { terminal.text.include?("config: running") }
  end

  it "prints one screen without a terminal" do
    output, error, status = run("--admin", "127.0.0.1:#{sample.port}", "--once")
    expect([error, status]).to eq ["", 0]
    expect(output).to include("example: running", "192.0.2.17:50113", "no backend could be reached")
    expect(output).not_to include("\e")
    expect(run("--admin", "127.0.0.1:#{sample.port}")[0]).to start_with "example: running"
  end

  it "connects to a Unix socket" do
    Dir.mktmpdir("proxymachine-top") do |dir|
      address = "unix:#{dir}/admin.sock"
      ScriptedProxy.start("admin #{address.inspect}")
      expect(run("--admin", address).first).to match(/\Aconfig: running.*^connections +0  peak 0 of /m)
    end
  end

  it "reports errors" do
    nobody = refused_address[/\d+\z/]
    expect(run("--admin", nobody)).to match ["", /\Aproxymachine: 127.0.0.1:#{nobody}: Connection refused/, 1]
    expect(run).to match ["", /\Aproxymachine: which server\? --admin /, 2]
    expect(run("--admin", "soon")).to match ["", /\Aproxymachine: --admin takes an address such as /, 2]
    expect(run("--interval", "0")).to match ["", /\Aproxymachine: --interval takes 0.1 to 3600 seconds/, 2]
    backend = Backends.once("HTTP/1.1 200 OK\r\n\r\n")
    expect(run("--admin", backend.address)).to match ["", /\Aproxymachine: \S+ is no ProxyMachine$/, 1]
    older = Backends.once("HTTP/1.1 404 Not Found\r\n\r\nThere are /, /metrics, /status.json, /healthz and /readyz.\n")
    expect(run("--admin", older.address))
      .to match ["", %r{\Aproxymachine: \S+ is an older ProxyMachine without /status\.txt$}, 1]
  end
end
