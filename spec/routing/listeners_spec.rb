# frozen_string_literal: true

# Several listeners in one process.
RSpec.describe "Several listeners:" do
  before(:context) { @dir = Dir.mktmpdir("proxymachine-spec") }
  after(:context) { FileUtils.rm_rf(@dir) }

  running(:proxy) do
    args = ["-h", "127.0.0.1", "-p", "0", "--bind", "127.0.0.2:0", "--bind", "unix:#{@dir}/bound.sock"]
    ProxyProcess.start(<<~RUBY, args: args)
      listen "127.0.0.3:0", :name => :named
      listen "unix:#{@dir}/pm.sock", :name => "local"
      listen "127.0.0.3:0"
      proxy(:named) { |data| { :close => "named \#{data}" } }
      proxy("local") { |data, client| { :close => "local \#{client.listener.inspect}" } }
      proxy { |data, client| { :close => "any \#{client.listener}" } }
    RUBY
  end

  def port(index)
    listen_addresses(proxy).fetch(index)[/\d+\z/].to_i
  end

  it "the command line's are opened and logged first, then the config's" do
    expect(listen_addresses(proxy)).to match [
      /\A127\.0\.0\.1:[1-9]\d*\z/, /\A127\.0\.0\.2:[1-9]\d*\z/, "unix:#{@dir}/bound.sock",
      /\A127\.0\.0\.3:[1-9]\d*\z/, "unix:#{@dir}/pm.sock", /\A127\.0\.0\.3:[1-9]\d*\z/
    ]
    expect(listen_addresses(proxy).uniq.size).to eq 6
    expect(proxy.title).to include listen_addresses(proxy).first
  end

  it "a listener uses the block of its name; the others use the block without a name" do
    expect(ask("x")).to eq "any 127.0.0.1:0"
    expect(Client.new(port(1), host: "127.0.0.2").write("x").read_all).to eq "any 127.0.0.2:0"
    expect(UnixClient.new("#{@dir}/bound.sock").write("x").read_all).to eq "any unix:#{@dir}/bound.sock"
    expect(Client.new(port(3), host: "127.0.0.3").write("x").read_all).to eq "named x"
    expect(UnixClient.new("#{@dir}/pm.sock").write("x").read_all).to eq "local :local"
    expect(Client.new(port(5), host: "127.0.0.3").write("x").read_all).to eq "any 127.0.0.3:0"
  end

  it "listeners of the same name share a block" do
    proxy = ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :name => :one
      listen "127.0.0.2:0", :name => :one
      proxy(:one) { |data, client| { :close => client.local_ip } }
    RUBY
    ports = listen_addresses(proxy).map { |address| address[/\d+\z/].to_i }
    expect(Client.new(ports[0]).write("x").read_all).to eq "127.0.0.1"
    expect(Client.new(ports[1], host: "127.0.0.2").write("x").read_all).to eq "127.0.0.2"
  end

  it "the block of a listener may be replaced while the server runs" do
    proxy = ProxyProcess.start(<<~RUBY, args: [])
      listen "127.0.0.1:0", :name => :one
      proxy(:one) { |data| proxy(:one) { { :close => "second" } }; { :close => "first" } }
    RUBY
    expect(Array.new(2) { ask("x", proxy) }).to eq %w[first second]
  end

  it "a drain closes all of them" do
    proxy = ProxyProcess.start("listen '127.0.0.2:0'\nproxy { :noop }")
    waiting = connect(proxy).write("x")
    proxy.await(/noop/)
    proxy.signal("QUIT")
    proxy.await(/No longer accepting/)
    listen_addresses(proxy).each do |address|
      host, port = address.split(":")
      eventually { refused?(host, port.to_i) }
    end
    waiting.close
    expect(proxy.wait).to be_success
  end

  def refused?(host, port)
    Socket.tcp(host, port).close
    false
  rescue Errno::ECONNREFUSED, Errno::ECONNRESET
    true
  end

  it "an address in use prevents the start, and the others are closed" do
    socket = "#{@dir}/half.sock"
    child = ProxyProcess.new("listen 'unix:#{socket}'\nlisten '#{listen_addresses(proxy).first}'\nproxy { :close }")
    expect(child.wait.exitstatus).to eq 1
    address = listen_addresses(proxy).first
    expect(child.stderr).to eq "proxymachine: cannot listen on #{address}: Address already in use\n"
    expect(File).not_to exist(socket)
  end
end
