# frozen_string_literal: true

require_relative "../../lib/proxymachine/log/messages"

RSpec.describe ProxyMachine::Log::Messages do
  let(:messages) { Object.new.extend(described_class) }

  it "prints an exception as class and first line of the message" do
    expect(messages.raised(RuntimeError.new("one\ntwo"))).to eq "RuntimeError - one"
    expect(messages.raised(Class.new(StandardError) { def message = raise("no") }.new)).to end_with " - (no message)"
  end

  it "raises exceptions that end the server" do
    expect { messages.raised(SystemExit.new) }.to raise_error(SystemExit)
  end

  it "prints answers, and the reason why an answer is invalid" do
    expect(messages.answered("127.0.0.1:1", { noop: true })).to eq "127.0.0.1:1 #{{ noop: true }.inspect}"
    expect(messages.invalid_answer("127.0.0.1:1", 42)).to start_with "127.0.0.1:1 invalid answer 42: expected {:remote"
  end

  it "names the verb of a slow block" do
    expect(messages.slow("127.0.0.1:1", :timed_out, 1.23456)).to eq "127.0.0.1:1 the proxy_timeout block took 1.235s"
  end
end
