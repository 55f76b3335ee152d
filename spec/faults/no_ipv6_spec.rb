# frozen_string_literal: true

# A machine without IPv6: socket(AF_INET6) fails with EAFNOSUPPORT. `localhost` may have an IPv6 address there.
RSpec.describe "Without IPv6:" do
  in_network_namespace
  before(:context) do
    missing = Resolver.missing
    skip missing if missing
    @files = Dir.mktmpdir("proxymachine-spec")
    @through = Resolver.through("127.0.0.1", @files)
    @environment = WithoutIPv6.environment(@files)
    skip "no C compiler" unless @environment
  end
  after(:context) { FileUtils.rm_rf(@files) if @files }

  running(:name_server) { NameServer.new("127.0.0.1") }

  def start(config, *args, **options)
    ProxyProcess.new(config, args: args, env: @environment, through: @through, **options)
  end

  it "a listener serves the addresses of its name that there are" do
    name_server
    proxy = start("proxy { { :close => 'served' } }", "-h", "dual.test", "-p", "0").await_listening
    expect(Client.new(proxy.port).write("x").read_all).to eq "served"
  end

  it "the admin address does" do
    name_server
    port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
    proxy = start("proxy { :close }", "-h", "127.0.0.1", "-p", "0", "--admin", "dual.test:#{port}").await_listening
    proxy.await(/Metrics and status on/)
    expect(Client.new(port).write("GET /healthz HTTP/1.0\r\n\r\n").read_all).to start_with "HTTP/1."
  end

  it "--check accepts the name" do
    name_server
    check = start("proxy { :close }", "-t", "-h", "dual.test", "-p", "0", "--admin", "dual.test:0")
    expect(check.wait).to be_success
  end

  it "an IPv6 address is refused with the system's reason" do
    proxy = start("proxy { :close }", "-h", "::1", "-p", "0")
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.report).to match(/cannot listen on .*::1.*: Address family not supported by protocol/)
  end

  it "a connection uses the addresses of a name that there are" do
    name_server
    echo = Backends.echo
    remote = "dual.test:#{echo.port}"
    config = "proxy { { :remote => #{remote.inspect}, :retries => 0 } }"
    proxy = start(config, "-h", "127.0.0.1", "-p", "0").await_listening
    expect(Client.new(proxy.port).write("hello").read(5)).to eq "hello"
  end
end
