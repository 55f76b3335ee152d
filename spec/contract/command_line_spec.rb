# frozen_string_literal: true

# CONTRACT 7: the flags. What keeps the server from starting is in start_failures_spec.rb.
RSpec.describe "The command line" do
  serving = "proxy { |data| { :close => 'served' } }"

  def started_with(config, *args)
    proxy = ProxyProcess.start(config, args: args)
    expect(ask("x", proxy)).to eq "served"
    proxy.log[/Listening on (.*):\d+$/, 1]
  end

  # A child that is not expected to listen.
  def run_with(*args)
    Child.new(*ProxyProcess.command, *args).tap(&:wait)
  end

  it "takes -h as the host and -p as the port" do
    expect(started_with(serving, "-h", "127.0.0.1", "-p", "0")).to eq "127.0.0.1"
  end

  it "takes the long forms" do
    expect(started_with(serving, "--host", "127.0.0.1", "--port", "0")).to eq "127.0.0.1"
  end

  it "takes the forms with an equals sign" do
    expect(started_with(serving, "--host=127.0.0.1", "--port=0")).to eq "127.0.0.1"
  end

  it "takes the glued forms" do
    expect(started_with(serving, "-h127.0.0.1", "-p0")).to eq "127.0.0.1"
  end

  it "takes the config by all these forms" do
    Dir.mktmpdir do |dir|
      path = File.join(dir, "config.rb")
      File.write(path, serving)
      [["--config", path], ["--config=#{path}"], ["-c#{path}"]].each do |form|
        # The last -c counts, so the harness's own gives way.
        expect(started_with("raise 'not this one'", *form, "-h", "127.0.0.1", "-p", "0")).to eq "127.0.0.1"
      end
    end
  end

  it "listens on all addresses when no host is given" do
    expect(started_with(serving, "-p", "0")).to eq "0.0.0.0"
  end

  it "listens on the address of a name" do
    proxy = ProxyProcess.start(serving, args: %w[-h localhost -p 0])
    expect(Client.new(proxy.port, host: "localhost").write("x").read_all).to eq "served" # it may be ::1
    expect(proxy.log).to include "Listening on localhost:#{proxy.port}\n"
  end

  it "listens on IPv6" do
    proxy = ProxyProcess.start(serving, args: %w[-h ::1 -p 0])
    expect(Client.new(proxy.port, host: "::1").write("x").read_all).to eq "served"
  end

  it "listens on port 5432 when no port is given" do
    holder = begin
      TCPServer.new("0.0.0.0", 5432)
    rescue Errno::EADDRINUSE
      nil # by somebody else, which is as good here: the port is in use
    end
    proxy = ProxyProcess.new(serving, args: [])
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to include "0.0.0.0:5432"
  ensure
    holder&.close
  end

  it "explains itself with --help, and exits with 0" do
    help = run_with("--help")
    expect(help.wait).to be_success
    expect(help.stdout).to include("proxymachine -c", "--help", "--version")
    expect(help.stdout).to include("-c", "--config", "-h", "--host", "0.0.0.0", "-p", "--port", "5432")
    expect(help.stderr).to eq ""
  end

  it "tells its version with --version, and exits with 0" do
    version = run_with("--version")
    expect(version.wait).to be_success
    expect(version.stdout).to match(/\Aproxymachine 2\.\d+\.\d+\S*\n\z/)
    expect(version.stderr).to eq ""
  end

  it "binds the port again at once after a restart, while old connections linger" do
    echo = Backends.echo
    config = "proxy { |data| { :remote => #{echo.address.inspect} } }"
    first = ProxyProcess.start(config)
    client = connect(first).write("x")
    client.read(1)
    first.signal("QUIT")
    client.close
    first.wait
    second = ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", first.port.to_s])
    expect(connect(second).write("x").read(1)).to eq "x"
  end
end
