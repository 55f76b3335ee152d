# frozen_string_literal: true

require "proxymachine/lifecycle"

RSpec.describe ProxyMachine::Lifecycle::PredecessorCounts do
  let(:pairs) { Array.new(2) { UNIXSocket.pair } }
  let(:ours) { pairs.map(&:first) }
  let(:parent) { pairs[0].last }
  let(:older) { pairs[1].last }
  let(:counts) { described_class.new(ours.dup) }
  let(:received) { Queue.new }
  let!(:descriptors) { ours.map(&:fileno) }

  after { pairs.each { |pair| pair.last.close } }

  def tell(channel, max, total, shown)
    channel.puts(ProxyMachine::Lifecycle::Message.text([max, total, shown]))
  end

  def receive
    counts.receive { |*counted| received << counted }
  end

  def told = eventually { received.pop(true) }

  it "yields what each process tells, until it has ended" do
    receive
    tell(parent, 3, 10, { descriptors[0] => "parent" })
    expect(told).to eq [3, 10, { descriptors[0] => "parent" }]
    tell(older, 1, 2, {})
    expect(told).to eq [1, 2, {}]
    parent.close
    tell(older, 1, 1, {})
    expect(told).to eq [1, 1, {}]
    eventually { expect(counts.lend(&:itself)).to eq [descriptors[1]] }
  end

  it "leaves the older processes to the parent until that has taken its counts" do
    receive
    tell(older, 1, 2, {})
    sleep 0.05
    expect(received).to be_empty
    tell(parent, 3, 10, {})
    expect([told, told]).to eq [[3, 10, {}], [1, 2, {}]]
  end

  it "takes what a process of an earlier version shows" do
    receive
    tell(parent, 3, 10, "shown")
    expect(told).to eq [3, 10, { descriptors[0] => "shown" }]
    tell(parent, 3, 1, nil)
    expect(told).to eq [3, 1, {}]
  end

  it "a line that was cut off ends a channel, and no other" do
    receive
    parent.write(ProxyMachine::Lifecycle::Message.text([3, 10, {}])[0..-9])
    parent.shutdown
    tell(older, 1, 2, {})
    expect(told).to eq [1, 2, {}]
    expect(counts.lend(&:itself)).to eq [descriptors[1]]
  end

  it "the end of the parent takes its place" do
    receive
    tell(older, 1, 2, {})
    parent.close
    expect(told).to eq [1, 2, {}]
  end

  describe "passes on" do
    it "what processes show that still run, and subtracts it" do
      receive
      tell(parent, 3, 10, { descriptors[0] => "parent", descriptors[1] => "older" })
      told
      parent.close
      eventually { expect(counts.lend(&:itself)).to eq [descriptors[1]] }
      expect(counts.pass_on).to eq(descriptors[1] => "older")
      expect(told).to eq [0, 0, { descriptors[1] => nil }]
    end

    it "also what was told last, and leaves later lines to the next process" do
      receive
      tell(parent, 3, 10, { descriptors[0] => "first" })
      told
      tell(parent, 3, 1, { descriptors[0] => "second" })
      expect(counts.pass_on).to eq(descriptors[0] => "second")
      expect(told).to eq [3, 1, { descriptors[0] => "second" }]
      expect(told).to eq [0, 0, { descriptors[0] => nil }]
      tell(parent, 3, 1, {})
      sleep 0.05
      expect(received).to be_empty
      expect(ours[0].gets).to end_with "\n"
    end

    it "nothing of the older processes before the parent has told its counts" do
      receive
      tell(older, 1, 2, {})
      expect(counts.pass_on).to eq({})
      expect(told).to eq [0, 0, {}]
      expect(ours[1].gets).to end_with "\n"
    end

    it "all to a process that takes over before this one receives" do
      counts.pass_on
      receive
      tell(parent, 3, 10, {})
      expect(ours[0].gets).to end_with "\n"
      expect(received).to be_empty
    end

    it "nothing without a process before" do
      alone = described_class.new
      alone.receive { raise "nothing comes" }
      expect([alone.pass_on, alone.lend(&:itself)]).to eq [{}, []]
    end
  end
end
