# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/safe_inspect"
require_relative "../../lib/proxymachine/cli/options"

RSpec.describe ProxyMachine::CLI::Options do
  def parse(*arguments)
    described_class.new(arguments)
  end

  it "completes host and port by their defaults" do
    expect(parse.binds).to eq []
    expect(parse("-h", "::1").binds).to eq ["::1:5432"]
    expect(parse("-p", "80").binds).to eq ["0.0.0.0:80"]
    expect(parse("--host=a", "-p0", "--bind", "unix:/b").binds).to eq ["a:0", "unix:/b"]
  end

  it "collects settings by name" do
    expect(parse("--idle-timeout", "5",
                 "--log-format=json").settings).to eq [[:idle_timeout, "5"], [:log_format, "json"]]
  end

  it "leaves other arguments to the config" do
    arguments = %w[-c a.rb rest]
    expect(described_class.new(arguments).config).to eq "a.rb"
    expect(arguments).to eq ["rest"]
  end

  it "rejects unknown flags and invalid ports" do
    [%w[--no-such-flag], %w[-p 65536], %w[-p http], %w[-c]].each do |arguments|
      expect { parse(*arguments) }.to raise_error(ProxyMachine::UsageError)
    end
  end
end
