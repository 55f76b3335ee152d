# frozen_string_literal: true

# BEYOND.md, section 2: servers that fail, and native checks.
RSpec.describe "Upstream health:" do
  def start(servers, options = "", more = "")
    list = servers.map { |server| server.address.inspect }.join(", ")
    config = "upstream :db, #{list}#{options}\nproxy { :db }\n#{more}"
    ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--admin", "0"])
  end

  def problems(proxy)
    proxy.settle.lines.grep(/\A(WARN|ERROR) /)
  end

  def states(proxy)
    Admin.status(proxy)["upstreams"].first["servers"].map { |server| server["state"] }
  end

  it "a server that refuses is replaced at once, and is out after three failures in a row" do
    refusing = Backends.refusing { |session| session.write("late:#{session.read}") }
    good = Backends.once("good")
    proxy = start([refusing, good], ", :balance => :ordered")
    expect(Array.new(5) { ask("x", proxy) }.uniq).to eq ["good:x"]
    expect(proxy.settle.lines.grep(/Establishing new connection with #{refusing.address}/).size).to eq 3
    expect(problems(proxy)).to eq ["WARN Upstream db: #{refusing.address} is down: refused (Connection refused)"]
    expect(states(proxy)).to eq %w[down up]
  end

  it "a server that closes without a byte is down after the third time" do
    closing = Backends.closing
    good = Backends.once("good")
    proxy = start([closing, good], ", :balance => :ordered")
    expect(Array.new(3) { ask("x", proxy) }).to eq ["", "", ""]
    eventually { states(proxy) == %w[down up] }
    expect(ask("x", proxy)).to eq "good:x"
    expect(problems(proxy).grep(/is down/)).to eq ["WARN Upstream db: #{closing.address} is down: closed"]
  end

  it "a server that does not answer the connect is out after three times" do
    hole = Backends.black_hole
    good = Backends.once("good")
    proxy = start([hole, good], ", :balance => :ordered, :connect_timeout => 0.2")
    expect(Array.new(4) { ask("x", proxy) }.uniq).to eq ["good:x"]
    expect(problems(proxy)).to eq ["WARN Upstream db: #{hole.address} is down: timeout (no answer within 0.2s)"]
    expect(proxy.lines.grep(/Establishing new connection with #{hole.address}/).size).to eq 3
  end

  it "when none is up all are tried, and then the callback is called with the name" do
    servers = Array.new(2) { Backends.refusing { |session| session.write("up:#{session.read}") } }
    callback = 'proxy_connect_error { |remote| { :close => "no #{remote}" } }'
    config = <<~RUBY
      upstream :db, #{servers.map { |server| server.address.inspect }.join(", ")}
      proxy { { :remote => :db, :retries => 2, :retry_delay => 0.01 } }
      #{callback}
    RUBY
    proxy = ProxyProcess.start(config)
    expect(ask("x", proxy)).to eq "no db"
    expect(problems(proxy)).to include("ERROR Upstream db: no server is up",
                                       "ERROR Connect db failed after 3 attempts.")
    servers[1].listen
    expect(ask("x", proxy)).to eq "up:x"
    expect(proxy.await(/Upstream db: #{servers[1].address} is up/)).to be_truthy
  end

  it "checks find a server down and up again, and no client notices" do
    server = Backends.refusing { |session| session.write("late:#{session.read}") }
    good = Backends.once("good")
    proxy = start([server, good], ", :balance => :ordered, :check => 0.05")
    proxy.await(/WARN Upstream db: #{server.address} is down: refused/)
    expect(ask("x", proxy)).to eq "good:x"
    expect(proxy.settle.lines.grep(/Establishing new connection with #{server.address}/)).to be_empty
    server.listen
    proxy.await(/INFO Upstream db: #{server.address} is up$/)
    expect(ask("x", proxy)).to eq "late:x"
  end

  it "names are looked up, and each address is a server" do
    server = Backends.once("a")
    config = "upstream :db, \"localhost:#{server.port}\", :resolve => 1\nproxy { :db }\n"
    proxy = ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--admin", "0"])
    names = eventually do
      names = Admin.status(proxy)["upstreams"].first["servers"].map { |entry| entry["server"] }
      names if names.include?(server.address)
    end
    expect(names - [server.address, "[::1]:#{server.port}"]).to be_empty
    expect(ask("x", proxy)).to eq "a:x"
  end

  it "/status.json, metrics and the text page show each server" do
    refusing = Backends.refusing
    good = Backends.echo
    proxy = start([refusing, good], ", :balance => :ordered")
    clients = Array.new(3) { connect(proxy).write("x").tap { |client| client.read(1) } }
    upstream = Admin.status(proxy)["upstreams"].first
    expect(upstream).to include("name" => "db", "queue" => 0)
    down, up = upstream["servers"]
    expect(down).to include("server" => refusing.address, "state" => "down", "connections" => 0, "failures" => 3,
                            "last_check" => nil, "reason" => "refused (Connection refused)")
    expect(up).to include("server" => good.address, "state" => "up", "connections" => 3, "failures" => 0)
    expect(Time.now.to_f - down["since"]).to be_between(-1, 60)
    metrics = Admin.get(proxy, "/metrics")
    labels = ->(server) { "{upstream=\"db\",server=\"#{server.address}\"}" }
    expect(metrics).to include(
      "proxymachine_upstream_server_up#{labels[refusing]} 0", "proxymachine_upstream_server_up#{labels[good]} 1",
      "proxymachine_upstream_server_connections#{labels[good]} 3", "proxymachine_upstream_queue{upstream=\"db\"} 0",
      "proxymachine_upstream_server_failures_total#{labels[refusing]} 3"
    )
    expect(Admin.get(proxy, "/status.txt")).to match(/^db +#{refusing.address} +down /)
    clients.each(&:close)
  end

  it "a reload keeps states and counts, and the sessions of a server that leaves" do
    refusing = Backends.refusing
    good = Backends.echo
    proxy = start([refusing, good], ", :balance => :ordered")
    clients = Array.new(3) { connect(proxy).write("x").tap { |client| client.read(1) } }
    proxy.signal("HUP")
    proxy.await(/Reloaded /)
    expect(states(proxy)).to eq %w[down up]
    File.write(proxy.config_path, File.read(proxy.config_path).sub(", #{good.address.inspect}", ""))
    proxy.signal("HUP")
    eventually { states(proxy).size == 1 }
    expect(Admin.status(proxy)["upstreams"].first["connections"]).to eq 3
    expect(clients.map { |client| client.write("y").read(1) }).to eq %w[y y y]
    clients.each(&:close)
  end
end
