# frozen_string_literal: true

# One example per fault of a name server. The proxy runs in a network namespace, where the specs' name
# server has port 53, and in a mount namespace where /etc/resolv.conf names it.
RSpec.describe "Name resolution:" do
  in_network_namespace
  before(:context) do
    missing = Resolver.missing
    skip missing if missing
    @files = Dir.mktmpdir("proxymachine-spec")
    @through = Resolver.through("127.0.0.1", @files)
  end
  after(:context) { FileUtils.rm_rf(@files) if @files }

  running(:name_server) { NameServer.new("127.0.0.1") }
  running(:proxy) { ScriptedProxy.start(through: @through) }
  check_fault_isolation(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  # The line that routes a client to the backend by a name of this kind.
  def to(name, **options)
    "#{{ remote: "#{name}.test:#{backend.port}", **options }.inspect}\n"
  end

  def retry_lines(name, numbers)
    numbers.map { |number| "WARN Retrying connection with #{name}.test:#{backend.port} (##{number})" }
  end

  def expect_eleven_attempts(client, name)
    expect(client.received_end).to eq :FIN
    expect_problems(*retry_lines(name, 1..10), "ERROR Connect #{name}.test:#{backend.port} failed after ten attempts.")
    expect(proxy.settled_log).to include "connect error with #{name}.test:#{backend.port}\n"
    expect(backend).to be_untouched
  end

  def expect_reply(client, request)
    server = backend.accept
    expect(server.read(request.size)).to eq request
    server.write("reply").close
    expect(client.read_all).to eq "reply"
  end

  it "a known name is connected to" do
    expect_reply(connect.write(to("good")), to("good"))
    expect(name_server.queried).to include "good.test"
  end

  it "a name whose first address refuses is connected to at the second" do
    expect_reply(connect.write(to("two")), to("two"))
  end

  it "NXDOMAIN fails eleven attempts, each with a new query" do
    before = name_server.queried.count("nx.test")
    expect_eleven_attempts(connect.write(to("nx")), "nx")
    expect(name_server.queried.count("nx.test") - before).to be >= 11
  end

  it "SERVFAIL fails eleven attempts" do
    expect_eleven_attempts(connect.write(to("fail")), "fail")
  end

  it "a malformed response fails each attempt after :connect_timeout" do
    expect_eleven_attempts(connect.write(to("garbage", connect_timeout: 0.1)), "garbage")
  end

  it "a missing response fails each attempt after :connect_timeout" do
    expect_eleven_attempts(connect.write(to("never", connect_timeout: 0.1)), "never")
  end

  it "a late response is used" do
    expect_reply(connect.write(to("late")), to("late"))
  end

  it "a late response does not delay other connections" do
    waiting = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    expect(ask("{ :close => 'served' }\n")).to eq "served"
    expect(backend).to be_untouched
    expect_reply(waiting, to("late"))
  end

  it "many missing responses do not delay other connections" do
    waiting = Array.new(40) { connect.write(to("never")) }
    eventually { expect(proxy.lines.grep(/\AINFO Establishing new connection with never/).size).to be >= 40 }
    20.times { expect(ask("{ :close => 'served' }\n")).to eq "served" }
    waiting.each(&:reset)
    @expected_problems = problems.grep(/Retrying connection with never/)
  end

  it "the client's FIN during the query does not prevent the reply" do
    client = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    client.finish
    server = backend.accept
    expect(server.read_all).to eq to("late")
    server.write("reply").close
    expect(client.read_all).to eq "reply"
  end

  it "the client's RST during the query cancels the dial" do
    client = connect.write(to("late"))
    proxy.await(/\AINFO Establishing new connection with late/)
    client.reset
    eventually { expect(client_drop_logged?).to be true }
    second = connect.write(to("late", data: "second")) # answered after the first
    server = backend.accept
    expect(server.read(6)).to eq "second"
    server.write("reply").close
    expect(second.read_all).to eq "reply"
  end

  it "a pending query does not delay the end of the server" do
    quick = ScriptedProxy.start(through: @through)
    client = connect(quick).write(to("never"))
    quick.await(/\AINFO Establishing new connection with never/)
    client.reset
    quick.signal("QUIT")
    expect(quick.wait(within: 8)).to be_success
  end
end
