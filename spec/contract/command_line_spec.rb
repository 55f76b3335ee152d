# frozen_string_literal: true

# CONTRACT 7: the flags. Failures at start are in start_failures_spec.rb.
RSpec.describe "Command line:" do
  serving = "proxy { |data| { :close => 'served' } }"

  def started_with(config, *args)
    proxy = ProxyProcess.start(config, args: args)
    expect(ask("x", proxy)).to eq "served"
    proxy.log[/Listening on (.*):\d+$/, 1]
  end

  # Runs the program to its end; it is not expected to listen.
  def run_with(*args)
    Child.new(*ProxyProcess.command, *args).tap(&:wait)
  end

  it "-h is the host and -p the port" do
    expect(started_with(serving, "-h", "127.0.0.1", "-p", "0")).to eq "127.0.0.1"
  end

  it "the long forms are --host and --port" do
    expect(started_with(serving, "--host", "127.0.0.1", "--port", "0")).to eq "127.0.0.1"
  end

  it "a long flag may have its value after an equals sign" do
    expect(started_with(serving, "--host=127.0.0.1", "--port=0")).to eq "127.0.0.1"
  end

  it "a short flag may have its value attached" do
    expect(started_with(serving, "-h127.0.0.1", "-p0")).to eq "127.0.0.1"
  end

  it "the config flag has all these forms" do
    Dir.mktmpdir do |dir|
      path = File.join(dir, "config.rb")
      File.write(path, serving)
      [["--config", path], ["--config=#{path}"], ["-c#{path}"]].each do |form|
        # The last -c takes precedence over that of ProxyProcess.
        expect(started_with("raise 'not this one'", *form, "-h", "127.0.0.1", "-p", "0")).to eq "127.0.0.1"
      end
    end
  end

  it "the default host is every address" do
    expect(started_with(serving, "-p", "0")).to eq "0.0.0.0"
  end

  it "the host may be a name" do
    proxy = ProxyProcess.start(serving, args: %w[-h localhost -p 0])
    expect(Client.new(proxy.port, host: "localhost").write("x").read_all).to eq "served" # localhost may be ::1
    expect(proxy.log).to include "Listening on localhost:#{proxy.port}\n"
  end

  it "the host may be an IPv6 address" do
    proxy = ProxyProcess.start(serving, args: %w[-h ::1 -p 0])
    expect(Client.new(proxy.port, host: "::1").write("x").read_all).to eq "served"
  end

  it "the default port is 5432" do
    holder = begin
      TCPServer.new("0.0.0.0", 5432)
    rescue Errno::EADDRINUSE
      nil # another process uses the port, which is as good here
    end
    proxy = ProxyProcess.new(serving, args: [])
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to include "0.0.0.0:5432"
  ensure
    holder&.close
  end

  it "arguments whose bytes are no text of the locale are read, or reported in one line" do
    { ["-c", "/no/\xFF.rb"] => [1, "no such file"], ["--admin", "\xFF"] => [2, "admin takes an address"],
      ["--\xFF"] => [2, "invalid option"] }.each do |arguments, (status, message)|
      child = run_with(*arguments, *(%w[-c /no/config.rb] unless arguments.include?("-c")))
      expect(child.wait.exitstatus).to eq status
      expect(child.stderr.lines.first).to start_with("proxymachine: ").and include(message)
      expect(child.stderr).not_to match(/:\d+:in/)
    end
  end

  it "--help prints the usage and exits with 0" do
    help = run_with("--help")
    expect(help.wait).to be_success
    expect(help.stdout).to include("proxymachine -c", "--help", "--version")
    expect(help.stdout).to include("-c", "--config", "-h", "--host", "0.0.0.0", "-p", "--port", "5432")
    expect(help.stderr).to eq ""
  end

  it "--version prints the version and exits with 0" do
    version = run_with("--version")
    expect(version.wait).to be_success
    expect(version.stdout).to match(/\Aproxymachine 2\.\d+\.\d+\S*\n\z/)
    expect(version.stderr).to eq ""
  end

  it "a restart binds the port at once, although old connections are in TIME_WAIT" do
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
