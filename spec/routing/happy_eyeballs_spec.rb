# frozen_string_literal: true

# Names with several addresses (RFC 8305). The specs' name server has port 53 in a network namespace.
RSpec.describe "Happy Eyeballs:" do
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

  let(:backend) { Backends.once("v4") }

  # A route with one attempt, within which all addresses are tried.
  def to(*names, **options)
    "#{{ remote: names.map { |name| "#{name}.test:#{backend.port}" }, retries: 0, **options }.inspect}\n"
  end

  def on_ipv6
    yield
  rescue Errno::EADDRNOTAVAIL, Errno::EAFNOSUPPORT
    skip "there is no IPv6 here"
  end

  it "the IPv4 address is used if the IPv6 address refuses" do
    expect(ask(to("dual"))).to eq "v4:#{to("dual")}"
    expect(name_server.queried).to include "dual.test"
  end

  it "the IPv6 address is used if it accepts" do
    on_ipv6 { Backends.once("v6", host: "::1", port: backend.port) }
    expect(ask(to("dual"))).to eq "v6:#{to("dual")}"
  end

  it "the IPv4 address is used if the IPv6 address does not respond" do
    on_ipv6 { BlackHole.new("::1", backend.port) }
    expect(ask(to("dual"))).to eq "v4:#{to("dual")}"
  end

  it "a name without an address is skipped" do
    expect(ask(to("nx", "good"))).to eq "v4:#{to("nx", "good")}"
    expect(ask(to("fail", "two"))).to eq "v4:#{to("fail", "two")}"
  end

  it "a name without a response is skipped after :connect_timeout" do
    line = to("never", "good", connect_timeout: 0.5, retries: 100) # retries for a busy machine
    expect(ask(line)).to eq "v4:#{line}"
  end

  # The resolver waits three seconds for the other family before it returns this one.
  it "the IPv4 address is used if the name server does not respond to AAAA queries" do
    line = to("four", connect_timeout: 2, retries: 100) # retries for a busy machine
    expect(ask(line)).to eq "v4:#{line}"
  end

  it "only addresses of the family of :local_host are used" do
    on_ipv6 { Backends.once("v6", host: "::1", port: backend.port) }
    line = to("dual", local_host: "127.0.0.9")
    expect(ask(line)).to eq "v4:#{line}"
    line = to("four", local_host: "127.0.0.9", connect_timeout: 2, retries: 100)
    expect(ask(line)).to eq "v4:#{line}"
  end
end
