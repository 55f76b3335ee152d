# frozen_string_literal: true

# A second INT closes all connections at once.
RSpec.describe "Second INT:" do
  let(:echo) { Backends.echo }

  it "ends the server at once, whatever connections are open" do
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

  it "ends the server at once although its block sleeps" do
    proxy = ProxyProcess.start("proxy { LOGGER.info('asleep'); sleep }")
    client = connect(proxy).write("x")
    proxy.await(/asleep/)
    2.times do |number|
      proxy.signal("INT")
      proxy.await(/Received INT signal/) if number.zero?
    end
    expect(proxy.wait(within: 9).exitstatus).to eq 1 # the first INT alone takes 10 s
    client.stop
  end
end
