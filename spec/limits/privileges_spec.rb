# frozen_string_literal: true

require "etc"

# A server that starts as root switches to another user after binding.
RSpec.describe "Privileges of root:" do
  before { skip "only root can switch users" unless Process.uid.zero? }

  ids = "proxy { { :close => [Process.uid, Process.gid, Process.groups].inspect } }"
  nobody = Etc.getpwnam("nobody")

  it "are dropped once the ports are bound, by flags and by the verb" do
    expected = [nobody.uid, nobody.gid, [nobody.gid]].inspect
    through_flags = ProxyProcess.new(ids, args: %w[-h 127.0.0.1 -p 0 --user nobody]).await_listening
    expect(ask("x", through_flags)).to eq expected
    expect(ask("x", ProxyProcess.start("run_as 'nobody'\n#{ids}"))).to eq expected
  end

  it "are kept, and the start fails, if the user does not exist" do
    child = ProxyProcess.new(ids, args: %w[-h 127.0.0.1 -p 0 --user no-such-user])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: cannot run as no-such-user: /)
  end
end
