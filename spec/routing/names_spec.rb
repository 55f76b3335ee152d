# frozen_string_literal: true

# Names with several addresses (RFC 8305), asked of the specs' own name server, which has port 53 in a network of its
# own.
RSpec.describe "A remote by name" do
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

  let(:backend) { Backends.once("v4") }

  # One attempt, within which all addresses have their turn.
  def to(*names, **options)
    "#{{ remote: names.map { |name| "#{name}.test:#{backend.port}" }, retries: 0, **options }.inspect}\n"
  end

  def on_ipv6
    yield
  rescue Errno::EADDRNOTAVAIL, Errno::EAFNOSUPPORT
    skip "there is no IPv6 here"
  end

  it "is connected to by its IPv4 address when nobody listens at its IPv6 address" do
    expect(ask(to("dual"))).to eq "v4:#{to("dual")}"
    expect(name_server.asked).to include "dual.test"
  end

  it "is connected to by its IPv6 address when somebody does" do
    on_ipv6 { Backends.once("v6", host: "::1", port: backend.port) }
    expect(ask(to("dual"))).to eq "v6:#{to("dual")}"
  end

  it "is connected to by its IPv4 address when its IPv6 address does not answer at all" do
    on_ipv6 { BlackHole.new("::1", backend.port) }
    expect(ask(to("dual"))).to eq "v4:#{to("dual")}"
  end

  it "that has no address gives way to the next one" do
    expect(ask(to("nx", "good"))).to eq "v4:#{to("nx", "good")}"
    expect(ask(to("fail", "two"))).to eq "v4:#{to("fail", "two")}"
  end

  it "that is never answered gives way to the next one when :connect_timeout is over" do
    line = to("never", "good", connect_timeout: 0.5, retries: 100) # which a busy machine may need
    expect(ask(line)).to eq "v4:#{line}"
  end

  # The resolver waits three seconds for the other family before it tells of this one.
  it "is connected to by its IPv4 address when the name server is silent about IPv6" do
    line = to("four", connect_timeout: 2, retries: 100) # which a busy machine may need
    expect(ask(line)).to eq "v4:#{line}"
  end

  it "is only connected to by addresses of the family of :local_host" do
    on_ipv6 { Backends.once("v6", host: "::1", port: backend.port) }
    line = to("dual", local_host: "127.0.0.9")
    expect(ask(line)).to eq "v4:#{line}"
    line = to("four", local_host: "127.0.0.9", connect_timeout: 2, retries: 100)
    expect(ask(line)).to eq "v4:#{line}"
  end
end
