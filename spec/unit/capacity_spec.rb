# frozen_string_literal: true

require "tmpdir"
require_relative "../../lib/proxymachine/cli/capacity"

RSpec.describe ProxyMachine::CLI::Capacity do
  let(:system) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(system) }

  def machine(files)
    files.each do |path, text|
      file = File.join(system, path)
      FileUtils.mkdir_p(File.dirname(file))
      File.write(file, text)
    end
  end

  def lines(workers: 1, **settings)
    described_class.new(settings, workers, system: system).lines
  end

  it "is limited by the setting, if descriptors and memory suffice" do
    machine("proc/meminfo" => "MemTotal:  1000000 kB\n", "proc/sys/net/core/somaxconn" => "128\n",
            "proc/sys/net/ipv4/ip_local_port_range" => "10000\t19999\n")
    expect(lines(max_connections: 60)).to eq [
      "capacity: 60 connections at once, limited by max_connections; idle they need about 1 MB of memory, and 128 " \
      "more clients may wait",
      "to one backend address: 10,000 connections at once, limited by net.ipv4.ip_local_port_range; 166 new ones a " \
      "second if the proxy closes first (TIME-WAIT)"
    ]
  end

  it "is limited by the memory of the machine or of the container" do
    machine("proc/meminfo" => "MemTotal:  1000000 kB\n", "sys/fs/cgroup/memory.max" => "960000\n")
    expect(lines(max_connections: 200).first).to start_with "capacity: 100 connections at once, limited by the mach"
    machine("sys/fs/cgroup/memory.max" => "max\n")
    expect(lines(max_connections: 200).first).to start_with "capacity: 200 connections at once, limited by max_conn"
  end

  it "is limited by descriptors, whatever the setting says" do
    limit = Process.getrlimit(:NOFILE).last
    expect(lines(max_connections: limit).first)
      .to match(/limited by the [\d,]+ descriptors of this shell \(.*\), although max_connections is [\d,]+; /)
  end

  it "counts the limits of each worker" do
    expect(lines(workers: 3, max_connections: 20).first).to start_with "capacity: 60 connections at once in 3 workers, "
  end

  it "leaves out what the system does not tell" do
    expect(lines(max_connections: 5)).to match [/\Acapacity: 5 .* 4,096 more clients may wait\z/]
  end
end
