# frozen_string_literal: true

RSpec.describe "ProxyMachine::Testing::Decision:" do
  def decide(source, bytes = "hello", **client)
    TestingConfig.load(source).decide(bytes, **client)
  end

  def state(decision)
    %i[close? waits? tls?].select { |question| decision.public_send(question) }
  end

  it "a remote is named as the answer names it, whatever the form of the answer" do
    ['"10.0.0.1:80"', '{ :remote => "10.0.0.1:80" }', '{ :remote => :"10.0.0.1:80" }', '{ remote: "10.0.0.1:80" }']
      .each do |answer|
        decision = decide("proxy { #{answer} }")
        expect([decision.remote, decision.remotes, state(decision)]).to eq ["10.0.0.1:80", ["10.0.0.1:80"], []]
      end
  end

  it "of a list, remote is the first and remotes are all" do
    decision = decide('proxy { { :remote => ["10.0.0.1:80", "[::1]:81"] } }')
    expect([decision.remote, decision.remotes]).to eq ["10.0.0.1:80", ["10.0.0.1:80", "[::1]:81"]]
  end

  it "has the data and the reply of the answer, and nil where none are given" do
    given = decide('proxy { { :remote => "a:1", :data => "instead", :reply => 200 } }')
    expect([given.data, given.reply, given.words]).to eq ["instead", "200", nil]
    none = decide('proxy { "a:1" }')
    expect([none.data, none.reply, none.words]).to eq [nil, nil, nil]
    expect(decide('proxy { { :remote => "a:1", :data => "" } }').data).to eq ""
  end

  it "a close has its words" do
    expect(state(decide("proxy { :close }"))).to eq [:close?]
    expect(decide("proxy { { :close => true } }").words).to be_nil
    decision = decide('proxy { { :close => "go away" } }')
    expect([decision.close?, decision.words, decision.remote, decision.remotes, decision.error])
      .to eq [true, "go away", nil, [], nil]
  end

  it "words and reply are text if they can be, data is binary" do
    decision = decide('proxy { { :remote => "a:1", :reply => "caf\u00e9", :data => "caf\u00e9" } }')
    expect([decision.reply, decision.data]).to eq ["caf\u00e9", "caf\u00e9".b]
    expect(decide('proxy { { :close => "\xFF" } }').words).to eq "\xFF".b
  end

  it "a block that waits is no decision" do
    expect(state(decide("proxy { :noop }"))).to eq [:waits?]
    decision = decide('proxy { { :noop => "N" } }')
    expect([decision.waits?, decision.words, decision.reply]).to eq [true, "N", "N"]
  end

  it "an invalid answer closes" do
    ["nil", "42", "{}", "{ :noop => false }", '{ :remote => "no port" }', '{ :remote => "a:1", :retries => -1 }',
     '{ "remote" => "a:1" }'].each do |answer|
      decision = decide("proxy { #{answer} }")
      expect([state(decision), decision.words, decision.error, decision.remote]).to eq [[:close?], nil, nil, nil]
      expect(decision.inspect).to include "closes the connection: the answer is invalid: "
    end
  end

  it "an exception closes, and is the error" do
    decision = decide("proxy { raise KeyError, 'no such tenant' }")
    expect([state(decision), decision.error.class, decision.answer]).to eq [[:close?], KeyError, nil]
    expect(decision.inspect)
      .to match(/\A#<Decision closes the connection: the block raised KeyError: no such tenant \(\S+:1\) \(1 call\)>\z/)
  end

  it "the exceptions that end no connection but the server are errors, too, except for signals" do
    expect(decide("proxy { exit 3 }").error).to be_a SystemExit
    expect(decide("proxy { raise NotImplementedError }").error).to be_a NotImplementedError
    expect(decide("proxy { def f = f; f }").error).to be_a SystemStackError
    expect { decide("proxy { raise Interrupt }") }.to raise_error Interrupt
  end

  it "an exception of the answer itself is the error, as in the server" do
    decision = decide("proxy { { :remote => 'a:1', :data => Class.new { def to_s = raise('hostile') }.new } }")
    expect([decision.close?, decision.error.message]).to eq [true, "hostile"]
  end

  it "answer is what the block said" do
    expect(decide('proxy { { :remote => "a:1", :extra => 1 } }').answer).to eq(remote: "a:1", extra: 1)
  end

  it "inspect says what happens" do
    expect(decide('proxy { "a:1" }').inspect)
      .to eq '#<Decision connects to a:1, sends it what has come (answer "a:1", 1 call)>'
    expect(decide("proxy { :noop }").inspect).to eq "#<Decision waits for more (answer :noop, 1 call)>"
    expect(decide("proxy { :noop }", "").inspect).to eq "#<Decision waits for more (0 calls)>"
    expect(decide('proxy { { :close => "no\n" } }').inspect)
      .to eq "#<Decision says \"no\\n\" and closes the connection (answer #{{ close: "no\n" }.inspect}, 1 call)>"
  end

  it "inspect names classes of the config as the config does" do
    expect(decide("class Lost < StandardError; end\nproxy { raise Lost, 'x' }").inspect)
      .to include "the block raised Lost: x ("
    expect(decide("class Odd; end\nproxy { Odd.new }").inspect).to match(/\(answer #<Odd/)
  end

  it "inspect cuts long texts" do
    expect(decide('proxy { { :close => "x" * 1_000_000 } }').inspect.size).to be < 1000
  end
end
