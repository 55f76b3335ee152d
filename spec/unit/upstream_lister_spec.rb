# frozen_string_literal: true

require "logger"
require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/config/upstreams"
require_relative "../../lib/proxymachine/upstreams/lister"

RSpec.describe ProxyMachine::Upstreams::Lister do
  before { allow(ProxyMachine::Log).to receive(:line) { |level, text| (@lines ||= []) << [level, text] } }
  after { @lister&.stop&.each { |thread| thread.join(5) } }

  def upstream(&block)
    ProxyMachine::Config::Upstream.new(:web, [], { every: 0.01 }, block)
  end

  def load(last = {}, &block)
    upstream(&block).tap { |listed| described_class.load([listed], last) }.servers
  end

  # Why the first list is refused.
  def failure(&block)
    load(&block)
    nil
  rescue ProxyMachine::ConfigError => e
    e.message
  end

  it "has the list at load" do
    expect(load { ["a:1", :"b:2", "a:1"] }).to eq ["a:1", "b:2"]
    expect(load { [] }).to eq []
    expect(load { Array.new(10_000) { |index| "10.0.0.1:#{index + 1}" } }.size).to eq 10_000
  end

  it "refuses a first list that fails" do
    call = "upstream :web: the block that lists its servers failed: "
    expect(failure { raise "boom" }).to eq "#{call}RuntimeError - boom"
    expect(failure { exit }).to eq "#{call}SystemExit - exit"
    expect(failure { Thread.exit }).to eq "#{call}it ended its thread"
    expect(failure { [:web] }).to eq 'upstream :web: invalid server :web: it has no port, expected "host:port"'
    expect(failure { nil }).to eq 'upstream :web: servers are an Array such as ["10.0.0.1:80"], not nil'
  end

  it "keeps the last list of a reload, and warns" do
    expect(load({ web: ["a:1"] }) { raise "boom" }).to eq ["a:1"]
    expect(@lines).to eq [[:warn, "Upstream web: the last list of servers stays: the block that lists its servers " \
                                  "failed: RuntimeError - boom"]]
  end

  it "lists again and again, keeps the list if the block fails, and warns once" do
    answers = [-> { ["a:1"] }, -> { ["a:1", "b:2"] }, -> { raise "boom" }, -> { raise "boom" }, -> { [] },
               -> { ["a:1"] }]
    calls = 0
    listed = upstream { answers[[calls += 1, answers.size].min - 1].call }
    described_class.load([listed])
    lists = Queue.new
    @lister = described_class.new(listed) { |servers| lists << servers }
    expect(Timeout.timeout(Eventually::DEADLINE) do
             [lists.pop, lists.pop, lists.pop]
           end).to eq [["a:1", "b:2"], [], ["a:1"]]
    expect(@lines.size).to eq 1
  end
end
