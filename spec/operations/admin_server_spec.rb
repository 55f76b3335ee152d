# frozen_string_literal: true

require "proxymachine/errors"
require "proxymachine/server/descriptor_limit"

# The HTTP server of the setting `admin`: availability, permissions and independence from Ruby.
RSpec.describe "Admin server:" do
  describe "of a running proxy" do
    running(:echo) { Backends.echo }
    running(:proxy) { ScriptedProxy.start("admin 0") }

    it "a port alone means the loopback" do
      expect(Admin.uri(proxy).host).to eq "127.0.0.1"
    end

    it "answers health and readiness checks" do
      expect(Admin.get(proxy, "/healthz")).to eq "ok\n"
      expect(Admin.get(proxy, "/readyz")).to eq "running\n"
    end

    it "has the state as JSON" do
      client = connect.write(ScriptedProxy.route_to(echo)).tap { |c| c.read(10) }
      # An earlier connection may still be closing.
      status = eventually { Admin.status(proxy).then { |now| now if now["connections"]["current"] == 1 } }
      expect(status["state"]).to eq "running"
      expect(status["connections"]).to include("current" => 1, "total" => a_value >= 1, "limit" => a_value > 1)
      expect(status["program"]).to include("name" => "config", "pid" => proxy.pid, "ruby" => RUBY_VERSION)
      expect(status["settings"]).to include("name" => "slow_block", "value" => "3600")
      expect(status["settings"]).to include("name" => "idle_timeout", "value" => "none")
      expect(status["process"]["open_fds"]).to be_between(5, 100)
      client.close
      eventually { expect(Admin.status(proxy)["connections"]["current"]).to eq 0 }
    end

    it "sets content type and no-store in each response" do
      kinds = { "/" => "text/html; charset=utf-8", "/metrics" => "text/plain; version=0.0.4; charset=utf-8",
                "/status.json" => "application/json", "/status.txt" => "text/plain; charset=utf-8",
                "/readyz" => "text/plain; charset=utf-8" }
      kinds.each do |path, kind|
        answer = Admin.request(proxy, path)
        expect(answer["Content-Type"]).to eq kind
        expect(answer["Cache-Control"]).to eq "no-store"
        expect(answer["Content-Security-Policy"]).to start_with "default-src 'none'; "
        expect(answer["X-Content-Type-Options"]).to eq "nosniff"
      end
    end

    it "rejects other paths and methods" do
      expect(Admin.request(proxy, "/config").code).to eq "404"
      answer = Admin.request(proxy, "/status.json", method: "Post")
      expect([answer.code, answer["Allow"]]).to eq ["405", "GET, HEAD"]
    end

    it "answers HEAD like GET, without the body" do
      answer = Admin.request(proxy, "/healthz", method: "Head")
      expect([answer.code, answer["Content-Length"], answer.body]).to eq ["200", "3", nil]
    end

    it "rejects DNS rebinding: a foreign Host header" do
      expect(Admin.request(proxy, "/status.json", Host: "evil.example").code).to eq "421"
      expect(Admin.request(proxy, "/status.json", Host: "localhost:80").code).to eq "200"
    end

    it "rejects invalid and oversized requests" do
      uri = Admin.uri(proxy)
      { "\x16\x03\x01\r\n\r\n" => /\AHTTP\S* 400 /, "GET / HTTP/1.1\r\nX: #{"x" * 20_000}" => /\AHTTP\S* 431 / }
        .each do |request, answer|
          client = Client.new(uri.port)
          client.write(request)
          expect(client.read(13)).to match answer
        end
    end

    it "does not wait for a busy Ruby" do
      busy = ScriptedProxy.start("admin 0")
      connect(busy).write("puts 'burning'; loop {}\n")
      eventually { busy.stdout.include?("burning") }
      expect(Admin.status(busy)["connections"]["current"]).to eq 1
      expect(Admin.get(busy, "/metrics")).to include "\nproxymachine_connections 1\n"
    end
  end

  it "answers during a drain as not ready, and ends with the process" do
    echo = Backends.echo
    proxy = ScriptedProxy.start("admin 0")
    client = connect(proxy).write(ScriptedProxy.route_to(echo)).tap { |c| c.read(10) }
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

  it "the flag takes precedence over the config" do
    proxy = ScriptedProxy.start("admin 'unix:/nonexistent/socket'", args: %w[-h 127.0.0.1 -p 0 --admin=127.0.0.1:0])
    expect(Admin.get(proxy, "/healthz")).to eq "ok\n"
  end

  it "an address that cannot be bound is an error at the start" do
    taken = TCPServer.new("127.0.0.1", 0)
    child = ProxyProcess.new("admin #{taken.local_address.ip_port}\nproxy { :close }")
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: cannot listen on 127.0.0.1:\d+: Address already in use$/)
  ensure
    taken.close
  end

  it "has reserved descriptors" do
    descriptors = ProxyMachine::Server::DescriptorLimit
    expect(descriptors.connections - descriptors.connections(admin: true)).to be_between(16, 40)
  end

  describe "a Unix socket" do
    before { @dir = Dir.mktmpdir("proxymachine-admin") }
    after { FileUtils.rm_rf(@dir) }

    let(:path) { File.join(@dir, "admin.sock") }
    let(:config) { "admin 'unix:#{path}'" }

    def healthz
      Admin.at(path, "/healthz")
    end

    it "is accessible to its owner only, and removed at the end" do
      proxy = ScriptedProxy.start(config)
      expect(healthz).to end_with "\r\n\r\nok\n"
      expect(File.stat(path).mode & 0o777).to eq 0o600
      proxy.await("INFO Metrics and status on unix:#{path}")
      proxy.signal("QUIT")
      proxy.wait
      expect(File.exist?(path)).to be false
    end

    it "is removed even if a block prevents a regular end" do
      proxy = ScriptedProxy.start(config)
      # The process ends without writing what Ruby holds for standard output.
      connect(proxy).write("$stdout.sync = true; puts 'in'; loop { begin; sleep; rescue Exception; puts 'no'; end }\n")
      eventually { proxy.stdout.include?("in\n") }
      proxy.signal("INT")
      proxy.await(/Received INT signal/) # Two signals at once would be one.
      proxy.signal("INT")
      proxy.wait
      expect(proxy.stdout).to include "no\n"
      expect(File.exist?(path)).to be false
    end

    it "is replaced after a proxy was killed" do
      proxy = ScriptedProxy.start(config)
      proxy.signal("KILL")
      proxy.wait
      ScriptedProxy.start(config)
      expect(healthz).to end_with "ok\n"
    end

    it "belongs to the user that the proxy switches to", if: Process.uid.zero? do
      FileUtils.chmod(0o777, @dir)
      proxy = ScriptedProxy.start(config, args: %w[-h 127.0.0.1 -p 0 --user nobody])
      expect(healthz).to end_with "ok\n"
      expect(File.stat(path).uid).to eq Etc.getpwnam("nobody").uid
      proxy.signal("QUIT")
      expect(proxy.wait.exitstatus).to eq 0
      expect(File.exist?(path)).to be false
    end
  end
end
