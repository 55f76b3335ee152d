# frozen_string_literal: true

# The admin address across reloads and upgrades.
RSpec.describe "Admin across changes:" do
  let(:config) { "proxy { { :close => Process.pid.to_s } }" }

  it "a reload keeps the address and shows the new settings" do
    proxy = ProxyProcess.start("admin 0\nidle_timeout 5\n#{config}")
    expect(Admin.status(proxy)["settings"]).to include("name" => "idle_timeout", "value" => "5")
    File.write(proxy.config_path, "admin 1\nidle_timeout 7.5\nmax_connections 77\n#{config}")
    proxy.signal("HUP")
    proxy.await(/WARN admin stays 127.0.0.1:0: 127.0.0.1:1 takes a restart or an upgrade/)
    proxy.await(/INFO Reloaded/)
    eventually do
      status = Admin.status(proxy)
      expect(status["settings"]).to include({ "name" => "idle_timeout", "value" => "7.5" },
                                            { "name" => "admin", "value" => "127.0.0.1:0" })
      expect(status["connections"]["limit"]).to eq 77
    end
  end

  it "-t reports an address that cannot be bound" do
    path = File.join(Dir.mktmpdir("proxymachine-spec"), "config.rb")
    File.write(path, "admin 'unix:/nonexistent/admin.sock'\n#{config}")
    child = Child.new(*ProxyProcess.command, "-t", "-c", path)
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to include "cannot listen on unix:/nonexistent/admin.sock: No such file or directory"
  ensure
    FileUtils.rm_rf(File.dirname(path))
  end

  describe "an upgrade" do
    before { @dir = Dir.mktmpdir("proxymachine-admin") }

    # The new process is not a child of this one.
    after do
      Process.kill(:KILL, @successor) if @successor
      FileUtils.rm_rf(@dir)
    end

    def upgrade(proxy)
      proxy.signal("USR2")
      @successor = proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i
    end

    # Sends requests one after another and returns their status codes.
    def ask_until(uri)
      codes = []
      loop do
        ended = yield
        codes << Net::HTTP.get_response(uri).code
        return codes if ended
      end
    end

    it "hands the address over to the new process without a failed request" do
      proxy = ProxyProcess.start("admin 0\n#{config}")
      uri = Admin.uri(proxy)
      asking = Thread.new { ask_until(uri) { @successor } }
      upgrade(proxy)
      expect(asking.value.uniq).to eq ["200"]
      eventually { expect(Admin.status(proxy)["program"]["pid"]).to eq @successor }
    end

    it "does not count inherited totals as new events" do
      proxy = ProxyProcess.start("admin 0\n#{config}")
      200.times { ask("x", proxy) }
      upgrade(proxy)
      status = eventually do
        now = Admin.status(proxy)
        now if now["connections"]["total"] >= 200 && now["seconds"].size > 2
      end
      expect(status["listeners"].sum { |listener| listener["accepted"] }).to be >= 200
      expect(status["seconds"].map { |second| second["accepted"] }.max).to be < 50
    end

    it "keeps the file of the Unix socket" do
      path = File.join(@dir, "admin.sock")
      proxy = ProxyProcess.start("admin 'unix:#{path}'\n#{config}")
      upgrade(proxy)
      expect(proxy.wait).to be_success
      expect(Admin.at(path, "/status.json")).to include %("pid":#{@successor},)
    end
  end
end
