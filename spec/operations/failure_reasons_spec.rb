# frozen_string_literal: true

require "json"

# docs/logs.md: what the log says about a connection that failed.
RSpec.describe "Reasons for failures:" do
  let(:refusing) { refused_address }
  let(:echo) { Backends.echo }
  let(:proxy) { start }

  def start(config = "", *arguments)
    ScriptedProxy.start(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
  end

  def route(remote, more = "")
    "{ :remote => #{remote.inspect}, :retry_delay => 0#{more} }\n"
  end

  # Sends a request, and returns the client's address after the connection has ended.
  def serve(request, to = proxy)
    client = connect(to).write(request)
    client.read_all
    client.address
  end

  def expect_line(start, from = proxy)
    from.await(/#{Regexp.escape(start)}/)
  end

  it "a refused backend, a name without an address and a missing socket file have different lines" do
    remotes = { refusing => "refused (Connection refused)", "no-such-name.invalid:80" => "resolve (",
                "unix:/no/such/socket" => "unreachable (No such file or directory)" }
    remotes.each do |remote, reason|
      client = serve(route(remote, ", :retries => 1"))
      expect_line "INFO #{client} cannot reach #{remote}: #{reason}"
    end
  end

  it "a reason is logged once for all rounds, beside the lines of 1.2.4" do
    client = serve(route(refusing))
    proxy.await(/failed after ten attempts/)
    lines = proxy.settle.lines
    expect(lines.grep(/cannot reach/).size).to eq 1
    expect(lines.grep(/WARN/)).to eq((1..10).map { |round| "WARN Retrying connection with #{refusing} (##{round})" })
    expect(lines.grep(/ERROR/)).to eq ["ERROR Connect #{refusing} failed after ten attempts."]
    expect(lines.grep(/cannot reach/).first).to include client
  end

  it "as JSON, each event of a connection has its client and one id" do
    proxy = start("", "--log-format", "json")
    failed = serve(route(refusing, ", :retries => 1"), proxy)
    good = connect(proxy).write(ScriptedProxy.route_to(echo))
    good.read(1)
    proxy.await(/Successful/)
    records = proxy.log.lines.grep(/"client"/).map { |line| JSON.parse(line) }
    expect(records.size).to be >= 9
    expect(records.map { |record| record["client"] }.uniq).to eq [failed, good.address]
    expect(records.map { |record| record.values_at("client", "connection") }.uniq.size).to eq 2
    expect(records.map { |record| record["connection"] }).to all match(/\A#{proxy.pid.to_s(36)}-[0-9a-z]+\z/)
    failures = records.select { |record| record["message"].match?(/cannot reach|Retrying|failed after/) }
    expect(failures.map { |record| record["reason"] }).to eq %w[refused refused refused]
  end

  it "log_connection_id ends text lines with the id and the client" do
    proxy = start("log_connection_id true\n")
    client = serve(route(refusing, ", :retries => 1"), proxy)
    proxy.await(/failed after 2 attempts/)
    own = proxy.log.lines(chomp: true).grep(/Accepted|cannot|Retrying|Establishing|failed after/)
    expect(own.size).to eq 6
    expect(own).to all match(/ \[#{proxy.pid.to_s(36)}-1 #{Regexp.escape(client)}\]\z/)
  end

  it "log_connection_id takes true or false" do
    child = ProxyProcess.new("log_connection_id 7\nproxy { :close }", args: ["-p", "0"])
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to include "log_connection_id takes true or false, not 7"
  end

  it "an exception has a second line, with the client, the block and the line of the config" do
    config = <<~RUBY
      def fail_here
        Integer("x")
      end
      proxy { $has_failed = true; fail_here }
      proxy_timeout { $has_failed ? raise("late") : :noop } # the first client's data may be late, too
      decision_timeout 0.2
    RUBY
    proxy = ProxyProcess.start(config)
    client = serve("x", proxy)
    proxy.await(/ERROR ArgumentError - invalid value/)
    place = "#{proxy.config_path}:2 (listener 127.0.0.1:0)"
    expect_line "WARN #{client} the proxy block raised at #{place}", proxy
    late = serve("", proxy)
    expect_line "WARN #{late} the proxy_timeout block raised at #{proxy.config_path}:5", proxy
  end

  it "an exception of a callback has the line, too" do
    config = "proxy { { :remote => '#{refusing}', :retries => 0 } }\nproxy_connect_error { raise 'no' }"
    proxy = ProxyProcess.start(config)
    client = serve("x", proxy)
    expect_line "WARN #{client} the proxy_connect_error block raised at #{proxy.config_path}:2", proxy
  end

  it "an answer that decides nothing has a warning, which names all keys that mean nothing" do
    client = serve("{ :remot => 'x', :foo => 1, 'close' => true }\n")
    proxy.await(/WARN #{client} the answer \{.*\} decides nothing: it has no :remote, :close or :noop that is true/)
    expect_line %(WARN #{client} no such key in an answer: :remot, :foo, "close")
    ["{}", "{ :remote => nil }", "{ :noop => false }"].each do |answer|
      client = serve("#{answer}\n")
      proxy.await(/WARN #{client} the answer \{.*\} decides nothing/)
    end
    expect(proxy.settle.lines.grep(/no such key/).size).to eq 1
  end

  it "a key that means nothing is named beside :close and :noop, too" do
    serve("{ :close => true, :later => 1 }\n")
    proxy.await(/no such key in an answer: :later/)
  end

  it "--route fails for an answer that decides nothing, and names its keys" do
    proxy = ProxyProcess.new("proxy { { :remot => 'a:1', :foo => 1 } }", args: ["--route", "/etc/hostname"])
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to match(/decides nothing; no such key in an answer: :remot, :foo/)
  end

  it "the metric of failed connects has the reason" do
    proxy = start("admin '127.0.0.1:0'\n")
    serve(route(refusing, ", :retries => 0"), proxy)
    serve(route("no-such-name.invalid:80", ", :retries => 0"), proxy)
    text = eventually do
      found = Admin.get(proxy, "/metrics")
      found if found.match?(/reason="resolve"} 1$/)
    end
    counts = text.scan(/^proxymachine_connect_failures_total\{.*reason="(\w+)"\} (\d+)$/).to_h
    expect(counts).to include("refused" => "1", "resolve" => "1", "timeout" => "0")
  end
end
