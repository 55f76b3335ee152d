# frozen_string_literal: true

require "proxymachine"
require "proxymachine/lifecycle/predecessor"

RSpec.describe "Predecessor:" do
  let(:predecessor) { ProxyMachine::Lifecycle::Predecessor }

  after { predecessor.remember({ pids: nil, reached: nil }) }

  def remember(*pids) = predecessor.remember({ pids: pids, reached: [] })

  it "exists while it runs" do
    remember(Process.pid)
    expect(predecessor.exist?).to be true
  end

  it "exists no longer when it has ended, although its parent has not asked for its status" do
    pid = Process.spawn("true")
    remember(pid)
    eventually { expect(predecessor.exist?).to be false }
    Process.wait(pid)
    expect(predecessor.exist?).to be false
  end

  it "does not exist if this process continues none" do
    remember
    expect(predecessor.exist?).to be false
  end
end
