# frozen_string_literal: true

# Names whose name server is silent hold resolver threads for as long as the system's resolver waits, here for 30
# seconds. Other names must not wait for them.
RSpec.describe "Names of a silent name server:" do
  in_network_namespace
  before(:context) do
    missing = Resolver.missing
    skip missing if missing
    @files = Dir.mktmpdir("proxymachine-spec")
    @through = Resolver.through("127.0.0.1", @files, timeout: 30)
  end
  after(:context) { FileUtils.rm_rf(@files) if @files }

  running(:name_server) { NameServer.new("127.0.0.1") }
  let(:proxy) { ScriptedProxy.start(through: @through) }
  let(:backend) { FaultyBackend.new }

  def to(name, **options)
    FaultyPeer.connect(proxy.port).write("#{{ remote: "#{name}:#{backend.port}", **options }.inspect}\n")
  end

  # Returns clients of as many names. A name is looked up again every 0.1 s.
  def silent_clients(count)
    Array.new(count) { |index| to("never#{index}.test", connect_timeout: 0.1, retries: 20) }
  end

  def expect_connection(name)
    client = to(name, retries: 0, connect_timeout: 15)
    server = backend.accept
    nil until server.read(1) == "\n" # A close with unread bytes would be a reset.
    server.write("reply").close
    expect(client.read_all).to eq "reply"
  end

  def threads
    Dir.children("/proc/#{proxy.pid}/task").size
  end

  it "60 of them do not delay a name that was never looked up" do
    clients = silent_clients(60)
    await_retries(60, 20)
    expect(threads).to be < 160
    expect_connection("good.test")
    clients.each(&:reset)
  end

  # After a quarter of a second, each family of a name is looked up by itself, too.
  it "60 of them do not delay a name that was never looked up if the attempts take longer than a lookup by family" do
    clients = Array.new(60) { |index| to("never#{index}.test", connect_timeout: 1) }
    await_retries(60, 4)
    expect_connection("good.test")
    clients.each(&:reset)
  end

  it "150 of them delay neither a name that was resolved before nor one of /etc/hosts" do
    expect_connection("good.test")
    clients = silent_clients(150)
    await_retries(150, 10)
    expect(threads).to be < 160
    expect_connection("good.test")
    expect_connection("localhost")
    clients.each(&:reset)
  end

  it "clients that reset at once leave no lookups behind" do
    5.times { Array.new(120) { |index| to("never#{index}.test") }.each(&:reset) }
    eventually { expect(proxy.connections).to eq 0 }
    expect(threads).to be < 160
    expect_connection("good.test")
  end

  it "clients of one name share its lookup" do
    before = name_server.queried.count("never.test")
    Array.new(100) { to("never.test", connect_timeout: 0.1, retries: 10) }
    await_retries(100, 10)
    # Two queries for both families, one for each family by itself.
    expect(name_server.queried.count("never.test") - before).to be <= 4
  end

  def await_retries(clients, number)
    eventually(within: 60) { expect(proxy.lines.grep(/\AWARN Retrying.*\(##{number}\)/).size).to eq clients }
  end
end
