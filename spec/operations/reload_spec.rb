# frozen_string_literal: true

# HUP replaces the running config without effect on established and new connections.
RSpec.describe "Reload:" do
  let(:echo) { Backends.echo }
  let(:proxy) { ProxyProcess.start("proxy { { :close => 'first' } }") }

  def reload(config, expected = /INFO Reloaded/)
    File.write(proxy.config_path, config)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(expected)
  end

  def refused?(port)
    Client.new(port).close
    false
  rescue Errno::ECONNREFUSED, Errno::ECONNRESET
    true
  end

  it "new connections use the new block" do
    expect(ask("x")).to eq "first"
    reload("proxy { { :close => 'second' } }")
    expect(ask("x")).to eq "second"
  end

  it "an undecided client is passed to the new block" do
    reload("proxy { |data| data == 'x' ? :noop : { :close => 'old' } }")
    client = connect.write("x")
    proxy.await(/noop/)
    reload("proxy { |data| { :close => \"new: \#{data}\" } }")
    expect(client.write("y").read_all).to eq "new: xy"
  end

  it "established connections go on" do
    reload("proxy { #{echo.address.inspect} }")
    client = connect.write("one")
    expect(client.read(3)).to eq "one"
    reload("proxy { :close }")
    expect(client.write("two").read(3)).to eq "two"
  end

  {
    "that raises" => ["raise 'oh'", /config\.rb:1: oh \(RuntimeError\)/],
    "that is no Ruby" => ["proxy {", /config\.rb:1: syntax error/],
    "without a block" => ["nil", /no proxy block/],
    "that exits" => ["exit 3", /: \S+config\.rb ends the program while it is loaded \(exit 3\)\./],
    "with a setting that is none" => ["idle_timeout 'x'; proxy { :close }", /idle_timeout takes a number/],
    "with a listener that is none" => ["listen 'nowhere'; proxy { :close }", /cannot listen on "nowhere"/],
    "with a block for no listener" => ["proxy(:lost) { :close }; proxy { :close }", /no listener has that name/],
    "that is not there" => [nil, /no such file/]
  }.each do |what, (config, reason)|
    it "a config #{what} is rejected with its reason, and the old config stays" do
      proxy.signal("HUP") && proxy.await(/Reloaded/)
      config ? File.write(proxy.config_path, config) : File.delete(proxy.config_path)
      proxy.signal("HUP")
      expect(proxy.await(/ERROR Cannot reload/)).to match(reason)
      expect(ask("x")).to eq "first"
      File.write(proxy.config_path, "proxy { { :close => 'repaired' } }")
      proxy.mark_log
      proxy.signal("HUP")
      proxy.await(/INFO Reloaded/)
      expect(ask("x")).to eq "repaired"
    end
  end

  it "constants assigned again cause no warning" do
    2.times { reload("ROUTES = { 'x' => 'found' }\nproxy { |data| { :close => ROUTES[data] } }") }
    expect(ask("x")).to eq "found"
    expect(proxy.stderr).to eq ""
  end

  it "new limits apply" do
    reload("decision_timeout 0.01\nproxy { :close }")
    expect(connect.read_all).to eq ""
    proxy.await(/no decision after 0\.01s/)
  end

  it "limits of the command line stay" do
    strict = ProxyProcess.start("proxy { :close }", args: %w[-h 127.0.0.1 -p 0 --decision-timeout 0.01])
    File.write(strict.config_path, "decision_timeout 100\nproxy { :close }")
    strict.signal("HUP")
    strict.await(/Reloaded/)
    expect(connect(strict).read_all).to eq ""
  end

  it "a new number of threads is reported as ignored" do
    reload("threads 2\nproxy { :close }", /WARN threads stays 1: 2 takes a restart or an upgrade \(USR2\)\./)
    proxy.await(/INFO Reloaded/) # The warning is logged before the new block counts.
    expect(ask("x")).to eq ""
  end

  it "new listeners are opened, and removed ones closed" do
    one = free_port
    two = free_port
    reload("listen '127.0.0.1:#{one}', :name => :one\nproxy { 'x' }\nproxy(:one) { { :close => 'one' } }")
    expect(Client.new(one).write("x").read_all).to eq "one"
    reload("listen '127.0.0.1:#{two}', :name => :two\nproxy { |d, client| { :close => client.listener.to_s } }")
    expect(Client.new(two).write("x").read_all).to eq "two"
    eventually { expect(refused?(one)).to be true }
    expect(ask("x")).to match(/\A127\.0\.0\.1:0\z/)
  end

  it "a Unix socket that stays keeps its file" do
    path = File.join(proxy.dir, "socket")
    answer = ->(text) { "listen 'unix:#{path}'\nproxy { { :close => '#{text}' } }" }
    %w[one two].each do |text|
      reload(answer.call(text))
      expect(UNIXSocket.open(path) { |socket| socket.write("x") && socket.read }).to eq text
    end
    reload("proxy { :close }")
    eventually { expect(File.exist?(path)).to be false }
  end

  it "an unwritable access log rejects the new config" do
    path = File.join(proxy.dir, "socket")
    reload("listen 'unix:#{path}'; access_log '/no/such/directory/log'; proxy { { :close => 'second' } }",
           %r{ERROR Cannot reload .*: cannot write the access log /no/such/directory/log: })
    expect(File.exist?(path)).to be false
    expect(ask("x")).to eq "first"
  end

  it "HUP during a drain is ignored" do
    client = connect.write("x")
    expect(client.read_all).to eq "first"
    reload("proxy { :noop }")
    connect.write("x")
    proxy.await(/noop/)
    proxy.signal("QUIT")
    proxy.await(/Received QUIT/)
    proxy.signal("HUP")
    proxy.await("WARN Cannot reload: the server is ending.")
  end

  it "a system without free threads: the server goes on and ends on a signal" do
    poor = ProxyProcess.start(<<~RUBY)
      no_thread = Module.new { def new(*) = $poor ? raise(ThreadError, "can't create Thread") : super }
      Thread.singleton_class.prepend(no_thread)
      proxy { |data| $poor = true; { :close => data } }
    RUBY
    expect(ask("x", poor)).to eq "x"
    poor.signal("HUP")
    poor.await(/WARN Cannot reload: can't create Thread: raise the limit of processes and threads/)
    expect(ask("y", poor)).to eq "y"
    poor.signal("QUIT")
    expect(poor.wait).to be_success
    expect(poor.stderr).to eq ""
  end

  it "a HUP trap of the config stays" do
    own = ProxyProcess.start("trap('HUP') { warn 'my own' }\nproxy { { :close => 'here' } }")
    own.signal("HUP")
    eventually { own.stderr.include?("my own\n") }
    expect(ask("x", own)).to eq "here"
  end

  %w[TERM INT QUIT].each do |signal|
    it "#{signal} ends the server, whatever trap the new config has" do
      config = "trap(#{signal.inspect}) { puts 'my own' }\n"
      reload("#{config}proxy { :close }")
      reload("#{config}raise 'oh'", /ERROR Cannot reload/)
      proxy.signal(signal)
      proxy.await(/Received #{signal}/)
      expect(proxy.wait).to be_success
    end
  end

  it "a LOGGER that cannot be set rejects the new config" do
    port = free_port
    path = File.join(proxy.dir, "access")
    reload(<<~RUBY, /ERROR Cannot reload .*LOGGER.*oh/)
      def LOGGER.level=(_level) raise('oh') end
      log_level :warn
      access_log #{path.inspect}
      listen '127.0.0.1:#{port}'
      proxy { { :close => 'second' } }
    RUBY
    expect(refused?(port)).to be true
    expect(File.exist?(path)).to be false
    expect(ask("x")).to eq "first"
  end

  it "a signal while the config is loaded ends the server without a reload" do
    reload("proxy { :noop }")
    connect.write("x")
    proxy.await(/noop/)
    File.write(proxy.config_path, <<~RUBY)
      puts "loading"
      sleep 0.01 until File.exist?("#{proxy.dir}/go")
      proxy { :close }
    RUBY
    proxy.signal("HUP")
    eventually { proxy.stdout.include?("loading\n") }
    proxy.signal("QUIT")
    proxy.await(/Received QUIT/)
    File.write("#{proxy.dir}/go", "")
    proxy.await("WARN Cannot reload: the server is ending.")
  end

  it "a block set by a trap meanwhile applies at once, and stays after a failed reload" do
    own = ProxyProcess.start(<<~RUBY)
      trap("WINCH") { proxy { { :close => "of the trap" } } }
      proxy { { :close => "first" } }
    RUBY
    go = File.join(own.dir, "go")
    File.write(own.config_path, "puts 'loading'; sleep 0.01 until File.exist?(#{go.inspect})\nraise 'oh'")
    own.signal("HUP")
    eventually { own.stdout.include?("loading\n") }
    own.signal("WINCH")
    eventually { expect(ask("x", own)).to eq "of the trap" }
    File.write(go, "")
    own.await(/Cannot reload/)
    expect(ask("x", own)).to eq "of the trap"
  end
end
