# frozen_string_literal: true

require "open3"

RSpec.describe "examples/on_demand.rb:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:port) { Daemon.free_ports(1).first }

  # A real redis-server is started and stopped by commands, as systemctl would do it.
  it "starts redis-server for the first client, and stops it when it is idle" do
    files = "--daemonize yes --pidfile #{dir}/pid --logfile #{dir}/log --dir #{dir}"
    environment = {
      "SERVER" => "127.0.0.1:#{port}", "IDLE" => "0.5", "HOLD" => "20",
      "START" => "redis-server --bind 127.0.0.1 --port #{port} --save '' --appendonly no #{files}",
      "STOP" => "redis-cli -p #{port} shutdown nosave"
    }
    proxy = ExampleConfig.start("on_demand", environment)
    expect(ping(proxy)).to eq "PONG"
    eventually { expect(Dir.children(dir)).to eq ["log"] } # The server has removed its pidfile.
    expect(ping(proxy, 3)).to eq "PONG\nPONG\nPONG"
    eventually { expect(Dir.children(dir)).to eq ["log"] }
    expect(File.read("#{dir}/log").scan("Ready to accept connections").size).to eq 2
  ensure
    system("redis-cli", "-p", port.to_s, "shutdown", "nosave", %i[out err] => File::NULL)
    FileUtils.rm_rf(dir)
  end

  it "says so if the command fails" do
    environment = { "SERVER" => refused_address, "START" => "false", "HOLD" => "20" }
    proxy = ExampleConfig.start("on_demand", environment)
    expect(ask("x", proxy)).to eq ""
    expect(proxy.errors).to include(/Upstream game: its :start failed: .* - Command failed with exit 1: false/)
  end

  # Sends so many commands on one connection.
  def ping(proxy, count = 1)
    output, = Open3.capture2e("redis-cli", "-p", proxy.port.to_s, "-r", count.to_s, "ping")
    output.chomp
  end
end
