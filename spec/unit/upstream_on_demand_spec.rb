# frozen_string_literal: true

require "logger"
require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/config/upstream"
require_relative "../../lib/proxymachine/upstreams/local_bus"
require_relative "../../lib/proxymachine/upstreams/on_demand"

# Several processes that start and stop the servers of one upstream. Each has an engine that keeps what it is told, and
# the messages are delivered one by one, in the order in which a real bus delivers them.
RSpec.describe ProxyMachine::Upstreams::OnDemand do
  # What a process's engine is told. `busy` says whether it has clients.
  engine = Struct.new(:told, :busy) do
    def upstream_starting(_name) = told << "starting"
    def upstream_started(_name, is_done, _ago) = told << "started #{is_done}"
    def upstream_stopped(_name, is_done) = told << "stopped #{is_done.inspect}"

    def upstream_stopping(_name)
      told << "stopping #{!busy}"
      !busy
    end
  end

  # A process: its side of the bus, its phases, and what it would do as the leader.
  member = Class.new do
    attr_reader :engine, :phases, :leader

    def initialize(engine, cluster, upstream)
      @engine = engine
      @cluster = cluster
      @phases = ProxyMachine::Upstreams::Phases.new(engine)
      @leader = ProxyMachine::Upstreams::OnDemand.new(self, @phases) { upstream }
    end

    def publish(topic, message)
      topics[topic] = message if topic
      others.each { |other| other.receive(*message) }
    end

    def ask(message)
      others.each { |other| other.receive(*message) }
      @leader.asked(*message.drop(1), others.size)
    end

    def receive(kind, *rest)
      case kind
      when "phase" then @phases.begin(ProxyMachine::Upstreams::Phase.new(*rest))
      when "may_stop" then @cluster.first.leader.answered(*rest, @phases.hold(rest.first))
      end
    end

    # The last messages of the topics, for processes that come later.
    def topics = @topics ||= {}

    def need_start
      @cluster.first.leader.start("game", @phases.starts("game"), Process.pid)
    end

    def need_stop
      @phases.held("game")
      @cluster.first.leader.stop("game")
    end

    def others = @cluster - [self]
  end

  let(:calls) { Thread::Queue.new }
  let(:returns) { Thread::Queue.new }
  let(:cluster) { [] }

  before { allow(ProxyMachine::Log).to receive(:line) { |level, text| (@lines ||= []) << [level, text] } }
  after { cluster.first.leader.end_tasks.each { |task| task.join(5) } }

  # Processes whose :start and :stop return, or raise, what the spec puts into `returns`.
  define_method(:processes) do |count|
    hook = lambda do |name|
      lambda do
        calls << name
        returns.pop.then { |value| raise value if value.is_a?(String) }
      end
    end
    options = { start: hook[:start], stop: hook[:stop], idle: 1 }
    upstream = ProxyMachine::Config::Upstream.new(:game, ["a:1"], options, nil)
    count.times { cluster << member.new(engine.new([], false), cluster, upstream) }
    cluster
  end

  def told
    cluster.map { |process| process.engine.told.dup.tap { process.engine.told.clear } }
  end

  # Lets the present call of :start or :stop end.
  def finish(error = nil)
    returns << error
    eventually { cluster.first.leader.instance_variable_get(:@actions).empty? }
  end

  it "starts once, however many processes need it, and tells all" do
    one, two, = processes(3)
    one.need_start
    two.need_start
    expect(calls.pop).to eq :start
    two.need_start
    expect(told).to all eq ["starting"]
    finish
    expect(told).to all eq ["started true"]
    expect(calls).to be_empty
  end

  it "does not start again for a process that did not know yet" do
    one, two = processes(2)
    one.need_start
    finish
    calls.pop
    told
    one.leader.start("game", 0, Process.pid) # from before
    expect(told.first).to eq ["started true"]
    expect(calls).to be_empty
    two.need_start
    expect(calls.pop).to eq :start
  end

  it "says that a start has failed, and why" do
    one, = processes(2)
    one.need_start
    finish("boom")
    expect(told).to all eq ["starting", "started false"]
    expect(@lines).to eq [[:error, "Upstream game: its :start failed: RuntimeError - boom"]]
  end

  it "stops if no process has clients, and holds new ones before" do
    _, two, = processes(3)
    two.need_stop
    expect(calls.pop).to eq :stop
    expect(told).to eq [["stopping true"], [], ["stopping true"]]
    two.need_start # A client came meanwhile: the process asks again when the servers are stopped.
    finish
    expect(told).to all eq ["stopped true"]
    expect(calls).to be_empty
    two.need_start
    expect(calls.pop).to eq :start
  end

  it "does not stop if one process has clients; those that held new ones let them go" do
    _, two, three = processes(3)
    three.engine.busy = true
    two.need_stop
    expect(told).to eq [["stopping true", "stopped nil"], ["stopped nil"], ["stopping false"]]
    expect(calls).to be_empty
  end

  it "says to processes that come later whether :stop is due" do
    one, two, three = processes(3)
    due = -> { one.topics[%w[reached game]] }
    one.need_start
    finish
    expect(due.call).to eq ["reached", "game", true]
    three.engine.busy = true
    two.need_stop # It is not tried, and the servers run on.
    expect(due.call).to eq ["reached", "game", true]
    expect(one.topics[%w[phase game]]).to start_with("phase", "started", "game", true, 1)
    three.engine.busy = false
    two.need_stop
    finish
    expect(due.call).to eq ["reached", "game", false]
  end

  it "says nothing of a start that has failed" do
    one, = processes(1)
    one.need_start
    finish("boom")
    expect(one.topics).not_to have_key(%w[reached game])
  end

  it "does not stop if the leader itself has clients" do
    one, two = processes(2)
    one.engine.busy = true
    two.need_stop
    expect(told).to eq [["stopping false"], ["stopped nil"]]
    expect(calls).to be_empty
  end

  it "stops alone" do
    one, = processes(1)
    one.need_stop
    finish
    expect(calls.pop).to eq :stop
    expect(told).to eq [["stopped true"]]
  end

  it "says that a stop has failed" do
    one, = processes(2)
    one.need_stop
    finish("boom")
    expect(told).to eq [["stopped false"], ["stopping true", "stopped false"]]
    expect(@lines).to eq [[:error, "Upstream game: its :stop failed: RuntimeError - boom"]]
  end

  it "ends what a leader has begun that does not exist any more" do
    one, two = processes(2)
    one.need_start
    calls.pop
    cluster.shift # The leader is killed.
    two.leader.take_over
    expect(told).to eq [["starting", "started false"]]
    two.need_start
    expect(calls.pop).to eq :start
    returns << true << true
  end
end
