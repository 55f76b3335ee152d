# frozen_string_literal: true

require "proxymachine/errors"
require "proxymachine/descriptors"

# The address of the setting `admin`: always answered, by whoever may ask, and in nobody's way.
RSpec.describe "The admin address" do
  describe "of a running proxy" do
    running(:echo) { Backends.echo }
    running(:proxy) { Puppet.start("admin 0") }

    it "is one of the loopback if only a port is given" do
      expect(Admin.uri(proxy).host).to eq "127.0.0.1"
    end

    it "says that the proxy is there, and ready" do
      expect(Admin.get(proxy, "/healthz")).to eq "ok\n"
      expect(Admin.get(proxy, "/readyz")).to eq "running\n"
    end

    it "tells the state as JSON" do
      client = connect.write(Puppet.to(echo)).tap { |c| c.read(10) }
      status = Admin.status(proxy)
      expect(status["state"]).to eq "running"
      expect(status["connections"]).to include("current" => 1, "total" => a_value >= 1, "limit" => a_value > 1)
      expect(status["program"]).to include("name" => "config", "pid" => proxy.pid, "ruby" => RUBY_VERSION)
      expect(status["settings"]).to include("name" => "slow_block", "value" => "3600")
      expect(status["settings"]).to include("name" => "idle_timeout", "value" => "none")
      expect(status["process"]["open_fds"]).to be_between(5, 100)
      client.close
      eventually { expect(Admin.status(proxy)["connections"]["current"]).to eq 0 }
    end

    it "says of each answer what it is, and that it is not to be kept" do
      kinds = { "/" => "text/html; charset=utf-8", "/metrics" => "text/plain; version=0.0.4; charset=utf-8",
                "/status.json" => "application/json", "/readyz" => "text/plain; charset=utf-8" }
      kinds.each do |path, kind|
        answer = Admin.request(proxy, path)
        expect(answer["Content-Type"]).to eq kind
        expect(answer["Cache-Control"]).to eq "no-store"
        expect(answer["Content-Security-Policy"]).to start_with "default-src 'none'; "
        expect(answer["X-Content-Type-Options"]).to eq "nosniff"
      end
    end

    it "has nothing elsewhere, and nothing to change" do
      expect(Admin.request(proxy, "/config").code).to eq "404"
      answer = Admin.request(proxy, "/status.json", method: "Post")
      expect([answer.code, answer["Allow"]]).to eq ["405", "GET, HEAD"]
    end

    it "answers HEAD as GET, without the body" do
      answer = Admin.request(proxy, "/healthz", method: "Head")
      expect([answer.code, answer["Content-Length"], answer.body]).to eq ["200", "3", nil]
    end

    it "does not answer a page from elsewhere that has given its name this address" do
      expect(Admin.request(proxy, "/status.json", Host: "evil.example").code).to eq "421"
      expect(Admin.request(proxy, "/status.json", Host: "localhost:80").code).to eq "200"
    end

    it "refuses what is no HTTP or too long" do
      uri = Admin.uri(proxy)
      { "\x16\x03\x01\r\n\r\n" => /\AHTTP\S* 400 /, "GET / HTTP/1.1\r\nX: #{"x" * 20_000}" => /\AHTTP\S* 431 / }
        .each do |request, answer|
          client = Client.new(uri.port)
          client.write(request)
          expect(client.read(13)).to match answer
        end
    end

    it "is not kept waiting by a Ruby that is busy" do
      busy = Puppet.start("admin 0")
      connect(busy).write("puts 'burning'; loop {}\n")
      eventually { busy.stdout.include?("burning") }
      expect(Admin.status(busy)["connections"]["current"]).to eq 1
      expect(Admin.get(busy, "/metrics")).to include "\nproxymachine_connections 1\n"
    end
  end

  it "goes on during a drain, in which the proxy is not ready, and ends with it" do
    echo = Backends.echo
    proxy = Puppet.start("admin 0")
    client = connect(proxy).write(Puppet.to(echo)).tap { |c| c.read(10) }
    uri = Admin.uri(proxy)
    proxy.signal("QUIT")
    eventually { expect(Admin.request(proxy, "/readyz").code).to eq "503" }
    expect(Admin.request(proxy, "/readyz").body).to eq "draining\n"
    expect(Admin.get(proxy, "/healthz")).to eq "ok\n"
    expect(Admin.status(proxy)).to include("state" => "draining")
    client.close
    expect(proxy.wait.exitstatus).to eq 0
    expect { TCPSocket.new(uri.host, uri.port) }.to raise_error(Errno::ECONNREFUSED)
  end

  it "is the command line's if that names one" do
    proxy = Puppet.start("admin 'unix:/nonexistent/socket'", args: %w[-h 127.0.0.1 -p 0 --admin=127.0.0.1:0])
    expect(Admin.get(proxy, "/healthz")).to eq "ok\n"
  end

  it "that cannot be had is said at the start" do
    taken = TCPServer.new("127.0.0.1", 0)
    child = ProxyProcess.new("admin #{taken.local_address.ip_port}\nproxy { :close }")
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: cannot listen on 127.0.0.1:\d+: Address already in use$/)
  ensure
    taken.close
  end

  it "has descriptors of its own kept back" do
    descriptors = ProxyMachine::Descriptors
    expect(descriptors.connections - descriptors.connections(admin: true)).to be_between(16, 40)
  end

  describe "that is a Unix socket" do
    before { @dir = Dir.mktmpdir("proxymachine-admin") }
    after { FileUtils.rm_rf(@dir) }

    let(:path) { File.join(@dir, "admin.sock") }
    let(:config) { "admin 'unix:#{path}'" }

    def healthz
      Admin.at(path, "/healthz")
    end

    it "is only for its owner, and gone in the end" do
      proxy = Puppet.start(config)
      expect(healthz).to end_with "\r\n\r\nok\n"
      expect(File.stat(path).mode & 0o777).to eq 0o600
      expect(proxy.log).to include "Metrics and status on unix:#{path}\n"
      proxy.signal("QUIT")
      proxy.wait
      expect(File.exist?(path)).to be false
    end

    it "is gone even if a block does not let the process end in order" do
      proxy = Puppet.start(config)
      connect(proxy).write("loop { begin; sleep; rescue Exception; puts 'no'; end }\n")
      eventually { Admin.at(path, "/status.json").include?('"current":1') }
      proxy.signal("INT")
      proxy.signal("INT")
      proxy.wait
      expect(proxy.stdout).to include "no\n"
      expect(File.exist?(path)).to be false
    end

    it "is taken over from a proxy that was killed" do
      proxy = Puppet.start(config)
      proxy.signal("KILL")
      proxy.wait
      Puppet.start(config)
      expect(healthz).to end_with "ok\n"
    end

    it "belongs to the user that the proxy becomes", if: Process.uid.zero? do
      FileUtils.chmod(0o777, @dir)
      proxy = Puppet.start(config, args: %w[-h 127.0.0.1 -p 0 --user nobody])
      expect(healthz).to end_with "ok\n"
      expect(File.stat(path).uid).to eq Etc.getpwnam("nobody").uid
      proxy.signal("QUIT")
      expect(proxy.wait.exitstatus).to eq 0
      expect(File.exist?(path)).to be false
    end
  end
end
