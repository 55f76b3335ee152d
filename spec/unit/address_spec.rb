# frozen_string_literal: true

require_relative "../../lib/proxymachine/config/address"

RSpec.describe ProxyMachine::Config::Address do
  {
    "127.0.0.1:80" => ["127.0.0.1", 80], "localhost:0" => ["localhost", 0], "[::1]:443" => ["::1", 443],
    "::1:443" => ["::1", 443], "host:65535" => ["host", 65_535], "host:65536" => nil, "host" => nil, ":80" => nil,
    "host:" => nil, "host:http" => nil
  }.each do |text, expected|
    it "reads #{text.inspect} as #{expected.inspect}" do
      expect(described_class.tcp(text)).to eq expected
    end
  end

  it "reads a path and an abstract name of a Unix socket" do
    expect(described_class.unix("unix:/run/a")).to eq "/run/a"
    expect(described_class.unix("unix:@name")).to eq "\0name"
    expect(described_class.unix("/run/a")).to be_nil
  end
end
