# frozen_string_literal: true

# One example a fault: what a name server can do to a proxy. It runs in a network of its own, where the specs' name
# server has port 53, and in a mount namespace where /etc/resolv.conf names it.
RSpec.describe "A name" do
  in_own_network
  before(:context) do
    missing = Resolver.missing
    skip missing if missing
    @files = Dir.mktmpdir("proxymachine-spec")
    @through = Resolver.through("127.0.0.1", @files)
  end
  after(:context) { FileUtils.rm_rf(@files) if @files }

  running(:name_server) { NameServer.new("127.0.0.1") }
  running(:proxy) { Puppet.start(through: @through) }
  unharmed(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  # The line that sends a client to the backend by such a name.
  def to(name, **options)
    "#{{ remote: "#{name}.test:#{backend.port}", **options }.inspect}\n"
  end

  def retries(name, numbers)
    numbers.map { |number| "WARN Retrying connection with #{name}.test:#{backend.port} (##{number})" }
  end

  def expect_eleven_attempts(client, name)
    expect(client.heard).to eq :FIN
    expect_trouble(*retries(name, 1..10), "ERROR Connect #{name}.test:#{backend.port} failed after ten attempts.")
    expect(proxy.settled_log).to include "connect error with #{name}.test:#{backend.port}\n"
    expect(backend).to be_untouched
  end

  def expect_reply(client, request)
    server = backend.accept
    expect(server.read(request.size)).to eq request
    server.write("reply").close
    expect(client.read_all).to eq "reply"
  end

  it "that is known is connected to" do
    expect_reply(connect.write(to("good")), to("good"))
    expect(name_server.asked).to include "good.test"
  end

  it "with two addresses, the first of which refuses, is connected to at the second" do
    expect_reply(connect.write(to("two")), to("two"))
  end

  it "that does not exist (NXDOMAIN) is a failed attempt, eleven times, each asked anew" do
    before = name_server.asked.count("nx.test")
    expect_eleven_attempts(connect.write(to("nx")), "nx")
    expect(name_server.asked.count("nx.test") - before).to be >= 11
  end

  it "whose server fails (SERVFAIL) is a failed attempt, eleven times" do
    expect_eleven_attempts(connect.write(to("fail")), "fail")
  end

  it "that is answered with garbage is a failed attempt when :connect_timeout is over, eleven times" do
    expect_eleven_attempts(connect.write(to("garbage", connect_timeout: 0.1)), "garbage")
  end

  it "that is never answered is a failed attempt when :connect_timeout is over, eleven times" do
    expect_eleven_attempts(connect.write(to("never", connect_timeout: 0.1)), "never")
  end

  it "that is answered late is connected to" do
    expect_reply(connect.write(to("late")), to("late"))
  end

  it "that is answered late holds up nobody else" do
    waiting = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    expect(ask("{ :close => 'served' }\n")).to eq "served"
    expect(backend).to be_untouched
    expect_reply(waiting, to("late"))
  end

  it "that is never answered, many times over, holds up nobody else" do
    waiting = Array.new(40) { connect.write(to("never")) }
    eventually { expect(proxy.lines.grep(/\AINFO Establishing new connection with never/).size).to be >= 40 }
    20.times { expect(ask("{ :close => 'served' }\n")).to eq "served" }
    waiting.each(&:reset)
    @expected_trouble = trouble.grep(/Retrying connection with never/)
  end

  it "that is being resolved when the client sends its FIN is still connected to, and the reply delivered" do
    client = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    client.finish
    server = backend.accept
    expect(server.read_all).to eq to("late")
    server.write("reply").close
    expect(client.read_all).to eq "reply"
  end

  it "that is being resolved when the client sends its RST is not connected to" do
    client = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    client.reset
    eventually { expect(dropped?).to be true }
    second = connect.write(to("late", data: "second")) # whose answer comes after the first one's
    server = backend.accept
    expect(server.read(6)).to eq "second"
    server.write("reply").close
    expect(second.read_all).to eq "reply"
  end

  it "that is being resolved does not hold up the end of the server" do
    quick = Puppet.start(through: @through)
    client = connect(quick).write(to("never"))
    quick.await(/\AINFO Establishing new connection with never/)
    client.reset
    quick.signal("QUIT")
    expect(quick.wait(within: 8)).to be_success
  end
end
