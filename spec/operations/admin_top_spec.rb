# frozen_string_literal: true

require "open3"

# `proxymachine top`, in a real terminal.
RSpec.describe "proxymachine top" do
  running(:sample) { Sample.new }

  def top(*arguments, **options)
    Terminal.new(*ProxyProcess.command, "top", *arguments, **options)
  end

  def run(*arguments)
    output, error, status = Open3.capture3(*ProxyProcess.command, "top", *arguments)
    [output.force_encoding(Encoding::UTF_8), error, status.exitstatus]
  end

  it "shows the state and keeps it up to date" do
    terminal = top("--admin", sample.port.to_s, "--interval", "0.2")
    eventually { terminal.text.include?("backend  ") }
    expect(terminal.lines.first).to start_with "example: running, ProxyMachine 2.0.0, Ruby 3.3.8, pid 4711, up 3 d"
    expect(terminal.text).to match(/^connections +\d+  peak 1,893 of 32,704/)
    # What there is of a minute is told from its second tally on, a second after the start.
    eventually { expect(terminal.text).to match(/^in the block +\S+ [um]?s .* [▁▂▃▄▅▆▇█]+$/) }
    before = terminal.text[/^accepted.*/]
    eventually { terminal.text[/^accepted.*/] != before }
  end

  it "takes the size that the window gets" do
    terminal = top("--admin", sample.port.to_s, width: 100, height: 30)
    eventually { terminal.text.include?("web ") }
    terminal.resize(50, 6)
    eventually { expect(terminal.lines.size).to eq 6 }
    eventually { expect(terminal.lines.last).to start_with "to backends/s" }
    expect(terminal.lines.first).to eq "example: running, ProxyMachine 2.0.0, Ruby 3.3.8,"
    terminal.resize(120, 40)
    eventually { terminal.text.include?("192.0.2.17:50113") }
  end

  { "q" => "q", "Ctrl-C" => "C-c" }.each do |name, key|
    it "leaves the terminal as it was, by #{name}" do
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

  it "waits for a server that is away" do
    proxy = Puppet.start("admin 0")
    port = Admin.uri(proxy).port
    terminal = top("--admin", port.to_s, "--interval", "0.2")
    eventually { terminal.text.include?("config: running") }
    proxy.stop
    eventually { terminal.text.include?("127.0.0.1:#{port}: Connection refused") }
    Puppet.start("admin #{port}")
    eventually { terminal.text.include?("config: running") }
  end

  it "prints once what it sees, for whoever has no terminal" do
    output, error, status = run("--admin", "127.0.0.1:#{sample.port}", "--once")
    expect([error, status]).to eq ["", 0]
    expect(output).to include("example: running", "192.0.2.17:50113", "no backend could be reached")
    expect(output).not_to include("\e")
    expect(run("--admin", "127.0.0.1:#{sample.port}")[0]).to start_with "example: running"
  end

  it "asks at a Unix socket, too" do
    Dir.mktmpdir("proxymachine-top") do |dir|
      address = "unix:#{dir}/admin.sock"
      Puppet.start("admin #{address.inspect}")
      expect(run("--admin", address).first).to match(/\Aconfig: running.*^connections +0  peak 0 of /m)
    end
  end

  it "says what is wrong" do
    nobody = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
    expect(run("--admin", nobody.to_s)).to match ["", /\Aproxymachine: 127.0.0.1:#{nobody}: Connection refused/, 1]
    expect(run).to match ["", /\Aproxymachine: which server\? --admin /, 2]
    expect(run("--admin", "soon")).to match ["", /\Aproxymachine: --admin takes an address such as /, 2]
    expect(run("--interval", "0")).to match ["", /\Aproxymachine: --interval takes 0.1 to 3600 seconds/, 2]
    backend = Backends.once("HTTP/1.1 200 OK\r\n\r\n")
    expect(run("--admin", backend.address)).to match ["", /\Aproxymachine: \S+ is no ProxyMachine$/, 1]
  end
end
