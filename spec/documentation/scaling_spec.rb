# frozen_string_literal: true

require_relative "../../lib/proxymachine/cli/capacity"

RSpec.describe "docs/scaling.md" do
  documents("docs/scaling.md")

  rows = File.read(File.expand_path("../../docs/scaling.md", __dir__))
             .scan(/^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) MB \| ([\d.]+) MB \|$/)
             .map { |row| row.map { |cell| cell.delete(",").to_f } }

  it "has a table of descriptors and memory" do
    expect(rows.map(&:first)).to eq [1_000, 10_000, 100_000]
  end

  rows.each do |connections, descriptors, process, kernel|
    it "names enough descriptors for #{connections.to_i} connections, and the memory that -t reckons with" do
      allow(Process).to receive_messages(getrlimit: [descriptors.to_i, descriptors.to_i], setrlimit: nil)
      allow(Dir).to receive(:children).with("/proc/self/fd").and_return(["0"] * 20)
      expect(ProxyMachine::Server::DescriptorLimit.connections).to be_between(connections, connections * 1.01)
      line = ProxyMachine::CLI::Capacity.new({ max_connections: connections.to_i }, 1).lines.first
      expect(line).to include("about #{(process + kernel).ceil.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")} MB")
    end
  end
end
