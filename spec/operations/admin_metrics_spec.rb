# frozen_string_literal: true

require "open3"

# /metrics, checked with promtool and a real Prometheus.
RSpec.describe "/metrics:" do
  documentation = File.read(File.join(ProxyProcess::ROOT, "docs", "metrics.md"))

  running(:echo) { Backends.echo }
  running(:proxy) { ScriptedProxy.start("admin 0") }

  # Returns the value of a metric without labels.
  def value(name)
    Admin.get(proxy, "/metrics")[/^#{name} (\S+)$/, 1].to_f
  end

  it "promtool accepts the format" do
    ["/metrics", "/metrics?remotes=1"].each do |path|
      output, status = Open3.capture2e("promtool", "check", "metrics", stdin_data: Admin.get(proxy, path))
      expect([output, status.exitstatus]).to eq ["", 0]
    end
  end

  it "has the names and types in docs/metrics.md, and no other" do
    listed = documentation.scan(/^\| `(\w+)` \| (\w+) \|/)
    served = Admin.get(proxy, "/metrics?remotes=1").scan(/^# TYPE (\w+) (\w+)$/)
    expect(served).to match_array(listed)
  end

  it "counts connections" do
    eventually { expect(value("proxymachine_connections")).to eq 0 }
    before = value("proxymachine_connections_accepted_total")
    client = connect.write(ScriptedProxy.route_to(echo)).tap { |c| c.read(10) }
    expect(value("proxymachine_connections")).to eq 1
    expect(value("proxymachine_connections_accepted_total")).to eq before + 1
    client.close
    eventually { expect(value("proxymachine_connections")).to eq 0 }
    expect(value("proxymachine_connections_peak")).to be >= 1
  end

  it "counts failed accepts by reason" do
    proxy = ProxyProcess.start("admin 0; max_connections 100; proxy { :noop }", rlimit_nofile: 40)
    failures = lambda do
      Admin.get(proxy, "/metrics")[/^proxymachine_accept_failures_total\{.*reason="descriptors"\} (\d+)/, 1].to_i
    end
    expect(failures.call).to eq 0
    clients = Array.new(60) { connect(proxy).write("x") }
    proxy.await(/WARN Cannot accept connections: Too many open files$/)
    clients.each(&:stop)
    eventually { expect(failures.call).to be_positive }
  end

  it "has backends only if the setting asks for them, and a bounded number of them" do
    own = ScriptedProxy.start("admin 0")
    closing = Backends.closing
    names = Array.new(250) { |number| "#{"0" * (number / 50)}#{closing.address}#{" " * (number % 50)}" }
    names.each_slice(25) do |some|
      some.map { |name| connect(own).write("{ :remote => #{name.inspect}, :retries => 0 }\n") }.each(&:read_all)
    end
    expect(Admin.get(own, "/metrics")).not_to include "remote="
    metrics = Admin.get(own, "/metrics?remotes=1")
    connected = metrics.scan(/^proxymachine_remote_connected_total\{remote="(.*)"\} (\d+)$/)
    expect(connected.sum { |_, count| count.to_i }).to be_between(1, 250)
    threads = Dir.children("/proc/#{own.pid}/task").count do |task|
      File.read("/proc/#{own.pid}/task/#{task}/comm").match?(/\Aproxymachine \d/)
    end
    expect(connected.size).to be <= (50 * threads) + 1
    expect(connected.last.first).to eq "other"
  end

  it "has the process's memory, descriptors and start time" do
    expect(value("process_resident_memory_bytes")).to be_within(proxy.resident_bytes / 2).of(proxy.resident_bytes)
    expect(value("process_start_time_seconds")).to be_within(300).of(Time.now.to_f)
    expect(value("process_open_fds")).to be_between(5, value("process_max_fds"))
  end

  describe "a real Prometheus" do
    running(:prometheus) { Prometheus.new(Admin.uri(proxy)) }

    it "scrapes and queries the metrics" do
      connect.close
      eventually do
        total = Admin.status(proxy)["connections"]["total"]
        expect(prometheus.query("proxymachine_connections_accepted_total")).to eq total
      end
      eventually { expect(%w[up proxymachine_ready].map { |metric| prometheus.query(metric) }).to eq [1, 1] }
    end

    it "accepts the alerts of docs/metrics.md, and has their metrics" do
      rules = documentation[/^```yaml\n(groups:\n.*?)^```$/m, 1]
      output, status = prometheus.check(rules)
      expect(status).to be_success, output
      expressions = rules.scan(/expr: (.*)$/).flatten
      expect(expressions).not_to be_empty
      listed = documentation.scan(/^\| `(\w+)` \|/).flatten
      names = expressions.flat_map { |text| text.scan(/(?:proxymachine|process)_\w+/) }
      expect(names.map { |name| name.delete_suffix("_bucket") } - listed).to be_empty
    end
  end
end
