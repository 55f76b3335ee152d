# frozen_string_literal: true

# The ends that somebody asks for: a second INT, and giving up the rights of root.
RSpec.describe "A server" do
  let(:echo) { Backends.echo }

  it "ends at once at a second INT, whatever is open" do
    proxy = ProxyProcess.start("proxy { #{echo.address.inspect} }")
    client = connect(proxy).write("one")
    expect(client.read(3)).to eq "one"
    2.times do |number|
      proxy.signal("INT")
      proxy.await(/Received INT signal/) if number.zero?
    end
    expect(proxy.wait.exitstatus).to eq 1
    expect(client).to be_ended
    expect(proxy.lines).to include "INFO Maximum time to wait for connections is 0 seconds."
  end

  it "ends at once at a second INT though its block sleeps" do
    proxy = ProxyProcess.start("proxy { LOGGER.info('asleep'); sleep }")
    client = connect(proxy).write("x")
    proxy.await(/asleep/)
    2.times do |number|
      proxy.signal("INT")
      proxy.await(/Received INT signal/) if number.zero?
    end
    expect(proxy.wait(within: 5).exitstatus).to eq 1 # The first alone would take 10 s.
    client.stop
  end

  describe "that is root" do
    before { skip "only root can become somebody else" unless Process.uid.zero? }

    ids = "proxy { { :close => [Process.uid, Process.gid, Process.groups].inspect } }"
    nobody = Etc.getpwnam("nobody")

    it "becomes somebody else once its ports are bound, by flags and by the verb" do
      expected = [nobody.uid, nobody.gid, [nobody.gid]].inspect
      through_flags = ProxyProcess.new(ids, args: %w[-h 127.0.0.1 -p 0 --user nobody]).await_listening
      expect(ask("x", through_flags)).to eq expected
      expect(ask("x", ProxyProcess.start("run_as 'nobody'\n#{ids}"))).to eq expected
    end

    it "says that there is no such user" do
      child = ProxyProcess.new(ids, args: %w[-h 127.0.0.1 -p 0 --user no-such-user])
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match(/\Aproxymachine: cannot run as no-such-user: /)
    end
  end
end
