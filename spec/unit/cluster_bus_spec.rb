# frozen_string_literal: true

require "socket"
require_relative "../../lib/proxymachine/cluster/bus"
require_relative "../../lib/proxymachine/cluster/bus_member"

RSpec.describe ProxyMachine::Cluster::Bus do
  subject(:bus) { described_class.new }

  # A worker that keeps what it receives.
  worker = Class.new do
    attr_reader :socket, :member, :received

    def initialize(bus)
      @socket, own = UNIXSocket.pair
      @received = Thread::Queue.new
      @own = own
      @member = ProxyMachine::Cluster::BusMember.new(own)
      @member.start(self)
      bus.add(@socket)
    end

    %i[lead message request asked].each do |kind|
      define_method(kind) { |*arguments| @received << [kind, *arguments] }
    end

    def next
      Timeout.timeout(Eventually::DEADLINE) { @received.pop }
    end

    def crash
      @member.stop
      @own.close
    end
  end

  define_method(:join) { worker.new(bus) }

  def workers(count) = Array.new(count) { join }

  before { bus.start }
  after { bus.close }

  it "passes a message to all others, and the last of each topic to those who come later" do
    one, two = workers(2)
    one.member.publish(%w[check db], ["state", 1])
    one.member.publish(%w[check db], ["state", 2])
    one.member.publish(nil, ["once"])
    expect(Array.new(3) { two.next }).to eq [[:message, "state", 1], [:message, "state", 2], [:message, "once"]]
    expect(join.next).to eq [:message, "state", 2]
    expect(bus[%w[check db]]).to eq ["state", 2]
    expect(one.received).to be_empty
  end

  it "drops the topics of other names, and the states of other servers" do
    one = join
    [%w[servers db], %w[servers web], %w[state web a:1], %w[state web b:2]].each do |topic|
      one.member.publish(topic, topic)
    end
    one.member.retain("web" => ["b:2"])
    one.member.ask(["done"])
    one.next
    later = join
    expect([later.next, later.next]).to eq [[:message, "servers", "web"], [:message, "state", "web", "b:2"]]
  end

  it "gives a new worker all topics before it serves, and a list of servers before their states" do
    one = join
    one.member.publish(%w[state db b:2], ["state", "db", "b:2", true])
    one.member.publish(%w[servers db], ["servers", "db", ["b:2"]])
    one.member.ask(["done"])
    one.next
    socket, own = UNIXSocket.pair
    bus.add(socket)
    told = []
    ProxyMachine::Cluster::BusMember.new(own).join(double(message: nil).tap do |receiver|
      allow(receiver).to receive(:message) { |*message| told << message }
    end)
    expect(told).to eq [["servers", "db", ["b:2"]], ["state", "db", "b:2", true]]
  end

  it "does not keep a new worker waiting if the main process ends" do
    socket, own = UNIXSocket.pair
    socket.close
    expect(ProxyMachine::Cluster::BusMember.new(own).join(nil)).to be_nil
  end

  it "begins with what was known before an upgrade" do
    former = described_class.new({ %w[reached game] => ["reached", "game", true] })
    expect(former.names { |kind, _, is_reached| kind == "reached" && is_reached }).to eq ["game"]
  ensure
    former.close
  end

  it "has one leader, who gets the requests" do
    one, two = workers(2)
    bus.elect([two.socket, one.socket])
    expect(two.next).to eq [:lead, true, false]
    one.member.request(%w[start game])
    expect(two.next).to eq [:request, "start", "game"]
    bus.elect([one.socket])
    expect([two.next, one.next]).to eq [[:lead, false, false], [:lead, true, false]]
  end

  it "has another leader if the first ends" do
    one, two = workers(2)
    bus.elect([one.socket, two.socket])
    one.next
    one.crash
    expect(two.next).to eq [:lead, true, true]
    bus.remove(one.socket)
  end

  it "tells the leader that a former one has ended" do
    one, two = workers(2)
    bus.elect([one.socket])
    bus.elect([two.socket])
    expect([one.next, one.next, two.next]).to eq [[:lead, true, false], [:lead, false, false], [:lead, true, false]]
    one.crash
    expect(two.next).to eq [:lead, true, true]
    join.crash
    bus.elect([two.socket])
    expect(two.received).to be_empty
  end

  it "tells a member how many others it has asked" do
    one, two = workers(2)
    join
    one.member.ask(["may_stop", "game", 1])
    expect(two.next).to eq [:message, "may_stop", "game", 1]
    expect(one.next).to eq [:asked, 2, "may_stop", "game", 1]
  end

  it "waits for no member that does not read" do
    one, stuck, three = workers(3)
    stuck.member.stop
    list = Array.new(10_000) { |index| "10.0.0.1:#{index}" }
    20.times { one.member.publish(%w[servers db], ["servers", "db", list]) }
    20.times { expect(three.next).to eq [:message, "servers", "db", list] }
  end
end
