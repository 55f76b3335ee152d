# frozen_string_literal: true

# What sessions, callbacks and the admin address notice of a server's state.
RSpec.describe "Upstream sessions:" do
  def start(servers, options = "", more = "", **arguments)
    list = servers.map { |server| server.address.inspect }.join(", ")
    config = "upstream :db, #{list}#{options}\nproxy { :db }\n#{more}"
    ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--admin", "0"], **arguments)
  end

  # Opens sessions with a server whose check depends on a file, which is then removed.
  def checked(options, **arguments)
    dir = Dir.mktmpdir("proxymachine-spec")
    up = File.join(dir, "up").tap { |file| File.write(file, "") }
    echo = Backends.echo
    check = "upstream_check(:db) { File.exist?(#{up.inspect}) }"
    proxy = start([echo], ", :check => 0.05, :fall => 2#{options}", check, **arguments)
    sessions = Array.new(12) { connect(proxy).write("x").tap { |client| client.read(1) } }
    File.unlink(up)
    proxy.await(/\AWARN Upstream db: #{echo.address} is down: its check said false/)
    yield sessions, proxy
  ensure
    FileUtils.rm_rf(dir)
  end

  it "continue when a check finds their server down" do
    checked("") do |sessions, _|
      expect(sessions.map { |client| client.write("y").read(1) }).to eq ["y"] * 12
      sessions.each(&:close)
    end
  end

  it "are ended by a check that finds their server down, with :on_down => :close" do
    checked(", :on_down => :close") do |sessions, proxy|
      expect(sessions.map { |client| client.read_all rescue "reset" }).to all(eq("").or(eq("reset"))) # rubocop:disable Style/RescueModifier
      eventually { expect(Admin.status(proxy)["upstreams"].first["connections"]).to eq 0 }
    end
  end

  it "are ended in every worker, with :on_down => :close" do
    checked(", :on_down => :close", workers: 2) do |sessions, _|
      expect(sessions.map { |client| client.read_all rescue "reset" }).to all(eq("").or(eq("reset"))) # rubocop:disable Style/RescueModifier
    end
  end

  it "that end without a byte call proxy_connect_error with the server, not with the upstream" do
    closing = Backends.closing
    proxy = start([closing], "", 'proxy_connect_error { |remote| { :close => "no #{remote}" } }')
    expect(ask("x", proxy)).to eq "no #{closing.address}"
  end

  it "that get no byte in time call proxy_inactivity_error with the server" do
    silent = Backends.silent
    proxy = ProxyProcess.start(<<~RUBY)
      upstream :db, #{silent.address.inspect}
      proxy { { :remote => :db, :inactivity_timeout => 0.2 } }
      proxy_inactivity_error { |remote| LOGGER.info "inactive: \#{remote}" }
    RUBY
    ask("x", proxy)
    expect(proxy.await(/inactive: /)).to include "inactive: #{silent.address}"
  end

  it "wait for a server that is being restarted, with :hold alone" do
    server = Backends.refusing { |session| session.write("late:#{session.read}") }
    proxy = start([server], ", :hold => 30")
    clients = Array.new(5) { connect(proxy).write("x").finish }
    eventually { expect(Admin.status(proxy)["upstreams"].first["held"]).to eq 5 }
    server.listen
    expect(clients.map(&:read_all)).to all eq "late:x"
  end

  it "of weight 0 are none: the server's state is drained, and it is up" do
    servers = Array.new(2) { |number| Backends.once(number.to_s) }
    proxy = start(servers, ", :weights => { #{servers[0].address.inspect} => 0 }")
    expect(Array.new(10) { ask("x", proxy) }.uniq).to eq ["1:x"]
    expect(Admin.status(proxy)["upstreams"].first["servers"].map { |server| server["state"] }).to eq %w[drained up]
    expect(Admin.get(proxy, "/metrics"))
      .to include "proxymachine_upstream_server_up{upstream=\"db\",server=\"#{servers[0].address}\"} 1"
  end

  it "begin at another server, and are never refused, while one goes up and down all the time" do
    flapping = Backends.once("flapping")
    steady = Backends.once("steady")
    check = "flips = 0; upstream_check(:db) { |remote| remote == #{steady.address.inspect} || (flips += 1).odd? }"
    proxy = start([flapping, steady], ", :check => 0.02, :rise => 1, :fall => 1", check)
    replies = []
    eventually do
      replies << ask("x", proxy)
      proxy.lines.grep(/ is down: /).size >= 5 && replies.size >= 100
    end
    expect(replies.uniq - %w[flapping:x steady:x]).to be_empty
    expect(proxy.errors).to be_empty
  end

  it "cannot begin when no server is up, and /readyz says ready all the same" do
    proxy = start([Backends.refusing], ", :check => 0.05")
    proxy.await(/\AERROR Upstream db: no server is up/)
    expect(Admin.get(proxy, "/readyz")).to eq "running\n"
  end

  it "are shown by --route, with the states of the running server" do
    refusing = Backends.refusing
    good = Backends.echo
    port = Daemon.free_ports(1).first
    config = <<~RUBY
      admin "127.0.0.1:#{port}"
      upstream :db, #{refusing.address.inspect}, #{good.address.inspect}, :balance => :ordered
      proxy { :db }
    RUBY
    proxy = ProxyProcess.start(config)
    clients = Array.new(3) { connect(proxy).write("x").tap { |client| client.read(1) } }
    output, = Open3.capture2e(*ProxyProcess.command, "-c", proxy.config_path, "--route", "-", stdin_data: "x")
    expect(output).to include "now: #{refusing.address} down (0 connections), #{good.address} up (3 connections)"
    clients.each(&:close)
  end

  it "are one trial at first when the pause of a server is over, and a byte ends it", :slow do
    server = Backends.refusing { |session| session.write("back:#{session.read}") }
    good = Backends.once("good")
    proxy = start([server, good], ", :balance => :ordered")
    expect(Array.new(3) { ask("x", proxy) }.uniq).to eq ["good:x"]
    proxy.await(/\AWARN Upstream db: #{server.address} is down/)
    server.listen
    expect(ask("x", proxy)).to eq "good:x"
    sleep 10
    expect(ask("x", proxy)).to eq "back:x"
    expect(proxy.await(/\AINFO Upstream db: #{server.address} is up/)).to be_truthy
  end
end
