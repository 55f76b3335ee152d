# frozen_string_literal: true

require "open3"

# `proxymachine init` writes a first config.
RSpec.describe "proxymachine init" do
  around { |example| Dir.mktmpdir { |dir| (@dir = dir) && example.run } }

  def run(*arguments, **options)
    out, err, status = Open3.capture3(*ProxyProcess.command, *arguments, chdir: @dir, **options)
    [out, err, status.exitstatus]
  end

  it "writes config.rb, which -t accepts and which routes" do
    expect(run("init")).to match [/\AWrote config\.rb\. .*`proxymachine -t -c FILE`/, "", 0]
    expect(run("-t", "-c", "config.rb")).to match [/\Aconfiguration ok$/, "", 0]
    request = "GET / HTTP/1.1\r\nHost: cats.example\r\n\r\n"
    expect(run("-c", "config.rb", "--route", "-", stdin_data: request).first).to include("connects to 10.0.0.1:80")
    expect(run("-c", "config.rb", "--route", "-", stdin_data: request[0, 20]).last).to eq 1
  end

  it "writes a config that serves" do
    config = File.read("#{ProxyProcess::ROOT}/lib/proxymachine/cli/config.rb.template").gsub(/:(5432|9432)"/, ':0"')
    proxy = ProxyProcess.start(config, args: [])
    expect(ask("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", proxy)).to start_with("HTTP/1.1 404 Not Found\r\n")
  end

  it "writes another file if one is named" do
    expect(run("init", "router.rb")).to match [/\AWrote router\.rb\./, "", 0]
    expect(run("init", "-")).to eq [File.read("#{@dir}/router.rb"), "", 0]
    expect(Dir.children(@dir)).to eq ["router.rb"]
  end

  it "overwrites nothing, and follows no link" do
    File.write("#{@dir}/config.rb", "mine")
    File.symlink("elsewhere", "#{@dir}/link.rb")
    expect(run("init")).to match ["", /\Aproxymachine: config\.rb exists, .*: name another file$/, 1]
    expect(run("init", "link.rb").last).to eq 1
    expect(File.read("#{@dir}/config.rb")).to eq "mine"
    expect(Dir.children(@dir)).to contain_exactly("config.rb", "link.rb")
  end

  it "names a directory that is missing" do
    expect(run("init", "no/a.rb")).to eq ["", "proxymachine: cannot write no/a.rb: No such file or directory\n", 1]
  end

  it "takes one file and no other flag than --help" do
    expect(run("init", "--help")).to match [/\AUsage:\n  proxymachine init/, "", 0]
    expect([run("init", "a", "b"), run("init", "--force")]).to all match ["", /\Aproxymachine: /, 2]
    expect(Dir.children(@dir)).to be_empty
  end
end
