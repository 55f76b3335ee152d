# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/safe_inspect"
require_relative "../../lib/proxymachine/config/upstreams"

RSpec.describe ProxyMachine::Config::Upstreams do
  subject(:upstreams) { described_class.new }

  def add(*servers, **options, &block)
    upstreams.add(:db, servers, options, block)
    upstreams.check
    upstreams[:db]
  end

  def error(...)
    described_class.new.then do |fresh|
      fresh.add(:db, *arguments(...))
      nil
    end
  rescue ProxyMachine::ConfigError => e
    e.message
  end

  def arguments(*servers, **options, &block)
    [servers, options, block]
  end

  it "has the defaults of the contract" do
    expect(add("10.0.0.1:80", "10.0.0.2:80").to_h).to include(
      name: "db", servers: [["10.0.0.1:80", 1], ["10.0.0.2:80", 1]], balance: "least", max_connections: nil,
      queue_timeout: 0.0, max_queue: 1000, check: nil, check_timeout: 2.0, rise: 2, fall: 3, close_on_down: false,
      resolve: nil, remote_tls: nil, proxy_protocol: nil, connect_timeout: nil, idle: nil, hold: nil, starts: false
    )
  end

  it "takes each option" do
    upstream = add("a:1", "b:2", balance: "ordered", weights: { "a:1" => 0, "b:2": 3 }, max_connections: 5,
                                 queue_timeout: 1, max_queue: 0, check: 0.5, check_timeout: 1, rise: 1, fall: 1,
                                 on_down: :close, resolve: 30, remote_tls: "db.internal", proxy_protocol: 2,
                                 connect_timeout: 3, start: -> {}, stop: method(:puts), idle: 600, hold: 5)
    expect(upstream.to_h).to include(
      servers: [["a:1", 0], ["b:2", 3]], balance: "ordered", max_connections: 5, queue_timeout: 1.0, max_queue: 0,
      check: 0.5, check_timeout: 1.0, rise: 1, fall: 1, close_on_down: true, resolve: 30.0, remote_tls: "db.internal",
      proxy_protocol: 2, connect_timeout: 3.0, idle: 600.0, hold: 5.0, starts: true, stops: true
    )
  end

  it "holds clients for 60 seconds where :start is given, unless :hold says otherwise" do
    expect(add("a:1", start: -> {}).to_h[:hold]).to eq 60.0
    other = ProxyMachine::Config::Upstream.new(:other, ["a:1"], { start: -> {}, hold: 0 }, nil)
    expect(other.to_h[:hold]).to eq 0.0
  end

  it "has each server once, however it is named" do
    expect(add("a:1", :"a:1", ["b:2", "a:1"]).to_h[:servers]).to eq [["a:1", 1], ["b:2", 1]]
  end

  it "may have no server" do
    expect(add.to_h[:servers]).to eq []
  end

  it "names a wrong option, its value, and what it takes" do
    {
      { speed: 1 } => "no such option: :speed (there are :balance, :weights, ",
      { balance: :fast } => ":balance takes :least or :ordered, not :fast",
      { weights: { "a:1" => -1 } } => ":weights takes a Hash of servers and whole numbers from 0 to 65535",
      { weights: { "c:1" => 1 } } => ':weights names "c:1", which is none of the servers',
      { max_connections: 0 } => ":max_connections takes a whole number above 0, not 0",
      { queue_timeout: -1 } => ":queue_timeout takes a number of seconds (0 is not at all), not -1",
      { max_queue: "x" } => ':max_queue takes a whole number from 0, not "x"',
      { check: 0 } => ":check takes a number of seconds above 0, not 0",
      { check_timeout: Float::NAN } => ":check_timeout takes a number of seconds above 0, not NaN",
      { rise: 1.5 } => ":rise takes a whole number above 0, not 1.5",
      { on_down: :stay } => ":on_down takes :close, not :stay",
      { resolve: "often" } => ':resolve takes a number of seconds above 0, not "often"',
      { every: 5 } => ":every needs a block that returns the list of servers",
      { remote_tls: 5 } => ":remote_tls takes true, the name in the certificate",
      { proxy_protocol: 3 } => ":proxy_protocol takes 1 or 2, not 3",
      { start: "systemctl start game" } => ":start takes something to call without arguments",
      { stop: ->(server) {} } => ":stop takes something to call without arguments",
      { hold: -1 } => ":hold takes a number of seconds (0 is not at all), not -1"
    }.each { |options, message| expect(error("a:1", **options)).to start_with("upstream :db: #{message}") }
  end

  it "needs a name for TLS with a Unix socket" do
    expect(error("a:1", "unix:/run/db", remote_tls: true))
      .to eq "upstream :db: :remote_tls => true has no name for unix:/run/db: give the name in its certificate"
    expect(error("unix:/run/db", remote_tls: "db.internal")).to be_nil
  end

  it "names a wrong server and the reason" do
    { "10.0.0.1" => "it has no port", db: "it has no port", 5 => "it is no String", nil => "it is no String",
      "a:99999" => "its port is not between 1 and 65535" }.each do |server, reason|
      expect(error(server)).to eq "upstream :db: invalid server #{server.inspect}: #{reason}, expected \"host:port\""
    end
  end

  it "lists servers by a block with :every, and by nothing else" do
    upstream = add(every: 5) { next ["a:1", "a:1"] }
    expect(upstream.to_h[:servers]).to eq []
    expect(upstream.call_list).to eq ["a:1"]
    expect(error { [] }).to eq "upstream :db: a block that returns the list of servers needs :every => seconds"
    expect(error("a:1", every: 5) { [] }).to start_with "upstream :db: name the servers or give a block "
    expect { add_other { "a:1" }.call_list }.to raise_error(ProxyMachine::ConfigError, /servers are an Array such as/)
  end

  def add_other(&block)
    ProxyMachine::Config::Upstream.new(:other, [], { every: 1 }, block)
  end

  it "calls hooks of any kind without an argument" do
    calls = []
    [-> { calls << 1 }, proc { |argument| calls << argument }, calls.method(:clear)].each do |hook|
      upstream = ProxyMachine::Config::Upstream.new(:db, ["a:1"], { start: hook }, nil)
      upstream.call_hook(:start)
    end
    expect(calls).to be_empty
  end

  it "checks every 2 seconds by a block, unless :check says otherwise" do
    upstreams.add_check("db", proc { true })
    expect(add("a:1").check_interval).to eq 2.0
    expect(add_checked(check: 7).check_interval).to eq 7.0
  end

  def add_checked(**options)
    ProxyMachine::Config::Upstream.new(:db, ["a:1"], options, nil).tap { |upstream| upstream.check = proc { true } }
  end

  it "refuses names that are taken, no names, and checks without an upstream or a block" do
    add("a:1")
    expect { add("b:1") }.to raise_error("upstream :db is declared twice: give one of them another name")
    expect { upstreams.add(:noop, [], {}, nil) }.to raise_error(/no upstream can be called :noop/)
    expect { upstreams.add(5, [], {}, nil) }.to raise_error(/the name of an upstream is a Symbol .*, not 5/)
    expect { upstreams.add_check(:db, nil) }.to raise_error("upstream_check(:db) needs a block that takes a server")
    upstreams.add_check(:dbs, proc {})
    expect { upstreams.check }.to raise_error("upstream_check(:dbs): no upstream has that name")
  end
end
