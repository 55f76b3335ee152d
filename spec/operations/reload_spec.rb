# frozen_string_literal: true

# HUP: another config takes the place of the one that runs, and nobody who is connected, or connects, notices.
RSpec.describe "A server that is told to reload" do
  let(:echo) { Backends.echo }
  let(:proxy) { ProxyProcess.start("proxy { { :close => 'first' } }") }

  def reload(config, expected = /INFO Reloaded/)
    File.write(proxy.config_path, config)
    proxy.mark
    proxy.signal("HUP")
    proxy.await(expected)
  end

  # A port that nobody listens on.
  def free_port
    TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
  end

  def refused?(port)
    Client.new(port).close
    false
  rescue Errno::ECONNREFUSED, Errno::ECONNRESET
    true
  end

  it "asks the new block from then on" do
    expect(ask("x")).to eq "first"
    reload("proxy { { :close => 'second' } }")
    expect(ask("x")).to eq "second"
  end

  it "asks the new block about a client that the old one had wait" do
    reload("proxy { |data| data == 'x' ? :noop : { :close => 'old' } }")
    client = connect.write("x")
    proxy.await(/noop/)
    reload("proxy { |data| { :close => \"new: \#{data}\" } }")
    expect(client.write("y").read_all).to eq "new: xy"
  end

  it "leaves alone who is connected" do
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
    "that exits" => ["exit 3", /exit \(SystemExit\)/],
    "with a setting that is none" => ["idle_timeout 'x'; proxy { :close }", /idle_timeout takes a number/],
    "with a listener that is none" => ["listen 'nowhere'; proxy { :close }", /cannot listen on "nowhere"/],
    "with a block for no listener" => ["proxy(:lost) { :close }; proxy { :close }", /no listener has that name/],
    "that is not there" => [nil, /no such file/]
  }.each do |what, (config, reason)|
    it "goes on with the old config, and says why, for one #{what}" do
      proxy.signal("HUP") && proxy.await(/Reloaded/)
      config ? File.write(proxy.config_path, config) : File.delete(proxy.config_path)
      proxy.signal("HUP")
      expect(proxy.await(/ERROR Cannot reload/)).to match(reason)
      expect(ask("x")).to eq "first"
      File.write(proxy.config_path, "proxy { { :close => 'repaired' } }")
      proxy.mark
      proxy.signal("HUP")
      proxy.await(/INFO Reloaded/)
      expect(ask("x")).to eq "repaired"
    end
  end

  it "does not warn of constants that are assigned once more" do
    2.times { reload("ROUTES = { 'x' => 'found' }\nproxy { |data| { :close => ROUTES[data] } }") }
    expect(ask("x")).to eq "found"
    expect(proxy.stderr).to eq ""
  end

  it "takes new limits" do
    reload("decision_timeout 0.01\nproxy { :close }")
    expect(connect.read_all).to eq ""
    proxy.await(/no decision after 0\.01s/)
  end

  it "keeps to the limits of the command line" do
    strict = ProxyProcess.start("proxy { :close }", args: %w[-h 127.0.0.1 -p 0 --decision-timeout 0.01])
    File.write(strict.config_path, "decision_timeout 100\nproxy { :close }")
    strict.signal("HUP")
    strict.await(/Reloaded/)
    expect(connect(strict).read_all).to eq ""
  end

  it "says that the number of threads stays" do
    reload("threads 2\nproxy { :close }", /WARN threads stays 1: 2 takes a restart or an upgrade \(USR2\)\./)
    expect(ask("x")).to eq ""
  end

  it "opens listeners, and closes those that are gone" do
    one = free_port
    two = free_port
    reload("listen '127.0.0.1:#{one}', :name => :one\nproxy { 'x' }\nproxy(:one) { { :close => 'one' } }")
    expect(Client.new(one).write("x").read_all).to eq "one"
    reload("listen '127.0.0.1:#{two}', :name => :two\nproxy { |d, client| { :close => client.listener.to_s } }")
    expect(Client.new(two).write("x").read_all).to eq "two"
    eventually { expect(refused?(one)).to be true }
    expect(ask("x")).to match(/\A127\.0\.0\.1:0\z/)
  end

  it "goes on at a Unix socket that stays, whose file it keeps" do
    path = File.join(proxy.dir, "socket")
    answer = ->(text) { "listen 'unix:#{path}'\nproxy { { :close => '#{text}' } }" }
    %w[one two].each do |text|
      reload(answer.call(text))
      expect(UNIXSocket.open(path) { |socket| socket.write("x") && socket.read }).to eq text
    end
    reload("proxy { :close }")
    eventually { expect(File.exist?(path)).to be false }
  end

  it "leaves all as it was if the access log cannot be written" do
    path = File.join(proxy.dir, "socket")
    reload("listen 'unix:#{path}'; access_log '/no/such/directory/log'; proxy { { :close => 'second' } }",
           %r{ERROR Cannot reload .*: cannot write the access log /no/such/directory/log: })
    expect(File.exist?(path)).to be false
    expect(ask("x")).to eq "first"
  end

  it "does not reload any more once it is ending" do
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

  it "serves on, and ends when it is told, while the system gives it no thread" do
    poor = ProxyProcess.start(<<~RUBY)
      no_thread = Module.new { def new(*) = $poor ? raise(ThreadError, "can't create Thread") : super }
      Thread.singleton_class.prepend(no_thread)
      proxy { |data| $poor = true; { :close => data } }
    RUBY
    expect(ask("x", poor)).to eq "x"
    poor.signal("HUP")
    poor.await("WARN Cannot reload: can't create Thread")
    expect(ask("y", poor)).to eq "y"
    poor.signal("QUIT")
    expect(poor.wait).to be_success
    expect(poor.stderr).to eq ""
  end

  it "leaves the trap of the config alone" do
    own = ProxyProcess.start("trap('HUP') { warn 'my own' }\nproxy { { :close => 'here' } }")
    own.signal("HUP")
    eventually { own.stderr.include?("my own\n") }
    expect(ask("x", own)).to eq "here"
  end

  %w[TERM INT QUIT].each do |signal|
    it "is ended by #{signal}, whatever trap the config has" do
      config = "trap(#{signal.inspect}) { puts 'my own' }\n"
      reload("#{config}proxy { :close }")
      reload("#{config}raise 'oh'", /ERROR Cannot reload/)
      proxy.signal(signal)
      proxy.await(/Received #{signal}/)
      expect(proxy.wait).to be_success
    end
  end

  it "leaves all as it was if the LOGGER cannot be set" do
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

  it "does not reload any more if it was told to end while the config was loaded" do
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

  it "has a block that a trap sets meanwhile count at once, and still after a failure" do
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
