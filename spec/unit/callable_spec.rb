# frozen_string_literal: true

require_relative "../../lib/proxymachine/config/callable"

RSpec.describe ProxyMachine::Config::Callable do
  def call(given, *arguments, &block)
    described_class.wrap(block, given).call(*arguments)
  end

  it "makes return and break in a block act like next" do
    returning = proc { |data| return data.upcase }
    expect(described_class.wrap(returning).call("a")).to eq "A"
    expect(call(1, "a") { |data| break data * 2 }).to eq "aa"
  end

  it "keeps the block's self" do
    @state = "kept"
    expect(call(1, "a") { |_data| @state }).to eq "kept"
  end

  it "leaves out arguments that the block does not take" do
    expect(call(1, "a") { "none" }).to eq "none"
  end

  it "passes nil for missing arguments" do
    expect(call(1, "a") { |data, client, more| [data, client, more] }).to eq ["a", nil, nil]
  end

  it "does not change lambdas and other callables" do
    [->(data) { data }, "text".method(:upcase), Object.new].each do |callable|
      expect(described_class.wrap(callable)).to equal callable
    end
  end

  it "counts required arguments only" do
    expect([proc {}, proc { |a| a }, proc { |a, b| [a, b] }, ->(a, b = 1) { [a, b] }, "a".method(:upcase)]
      .map { |callable| described_class.arguments(callable) }).to eq [0, 1, 2, 1, 0]
  end
end
