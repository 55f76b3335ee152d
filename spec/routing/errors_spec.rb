# frozen_string_literal: true

# Every mistake in a config is reported with the valid forms.
RSpec.describe "Config mistakes:" do
  describe "in an answer" do
    running(:proxy) { ScriptedProxy.start }

    remote = "expected \"host:port\""
    {
      "{ :remote => [] }" => "invalid remote []: it lists none, #{remote}",
      "{ :remote => ['a'] }" => "number 1 of it: it has no port",
      "{ :remote => ['a:1', 5] }" => "number 2 of it: it is no String",
      "{ :remote => ['a:1'] * 1001 }" => "it lists more than 1000",
      "{ :remote => 5432 }" => "invalid remote 5432: it is no String, #{remote}",
      "{ :remote => 'a:0' }" => "its port is not between 1 and 65535",
      "{ :remote => '[::1:80' }" => "its host is no name and no address",
      "{ :remote => 'http://a:80' }" => "its host is no name and no address",
      "{ :remote => 'unix:app.sock' }" => "unix: stands before a path from / or a name after @",
      "{ :remote => 'unix:@' }" => "unix: stands before a path from / or a name after @",
      "{ :remote => 'unix:/' + 'x' * 108 }" => "its path is longer than 107 bytes",
      "{ :remote => 'a:1', :retries => -1 }" => "invalid :retries -1: expected a whole number from 0",
      "{ :remote => 'a:1', :retries => 1.5 }" => "invalid :retries 1.5: expected a whole number from 0",
      "{ :remote => 'a:1', :retries => '3' }" => 'invalid :retries "3": expected a whole number from 0',
      "{ :remote => 'a:1', :retries => 2**64 }" => "expected a whole number from 0",
      "{ :remote => 'a:1', :retry_delay => 'x' }" => 'invalid :retry_delay "x": expected a number of seconds',
      "{ :remote => 'a:1', :retry_delay => -1 }" => "invalid :retry_delay -1: expected a number of seconds",
      "{ :remote => 'a:1', :retry_delay => 1.0 / 0 }" => "invalid :retry_delay Infinity: expected a number of seconds",
      "{ :remote => 'a:1', :retry_delay => 0.0 / 0 }" => "invalid :retry_delay NaN: expected a number of seconds",
      "{ :remote => 'a:1', :local_host => 'x' }" =>
        'invalid :local_host "x": expected an IP address, perhaps with a port',
      "{ :remote => 'a:1', :local_host => 5 }" => "invalid :local_host 5: expected an IP address",
      "{ :remote => 'a:1', :local_host => '[127.0.0.1' }" => "expected an IP address, perhaps with a port",
      "{ :remote => 'a:1', :local_host => '127.0.0.1:99999' }" => "expected an IP address, perhaps with a port",
      "{ :remote => '127.0.0.1:1', :local_host => '::1' }" =>
        'invalid :local_host "::1": expected an address of the remote\'s family',
      "{ :remote => ['127.0.0.1:1', '[::1]:1'], :local_host => '127.0.0.1:5' }" =>
        "expected an address of the remote's family",
      "{ :remote => 'a:1', :proxy_protocol => 3 }" => "invalid :proxy_protocol 3: expected 1 or 2",
      "{ :remote => 'a:1', :proxy_protocol => true }" => "invalid :proxy_protocol true: expected 1 or 2",
      "{ :remote => 'a:1', :proxy_protocol => '2' }" => 'invalid :proxy_protocol "2": expected 1 or 2',
      "{ :remote => 'a:1', :connect_timeout => true }" => "invalid :connect_timeout true: expected a number of seconds",
      "{ :remote => 'a:1', :inactivity_timeout => :soon }" =>
        "invalid :inactivity_timeout :soon: expected a number of seconds",
      "42" => "invalid answer 42: expected {:remote =>",
      "nil" => "invalid answer nil: expected {:remote =>"
    }.each do |answer, complaint|
      it "#{answer} is explained" do
        client = connect.write("#{answer}\n")
        expect(client.read_all).to eq ""
        line = proxy.await(/\AERROR /)
        expect(line).to start_with "ERROR #{client.address} invalid "
        expect(line).to include complaint
        expect(proxy.errors.size).to eq 1
      end
    end

    it "an unknown key is reported once, and the connection is served" do
      backend = Backends.once("it")
      keys = { remote: backend.address, retries: nil, noop: false, local_host: nil }
      [{ retrys: 5 }, { retrys: 6 }, { "retries" => 5 }, {}].each do |slip|
        expect(ask("#{keys.merge(slip)}\n")).to start_with "it:"
      end
      proxy.settle
      told = proxy.lines.grep(/\AWARN/).map { |line| line[/no such key in an answer: .*/] }
      expect(told).to eq ["no such key in an answer: :retrys", 'no such key in an answer: "retries"']
    end
  end

  def expect_not_to_start(config, complaint, args: ["-h", "127.0.0.1", "-p", "0"], status: 1)
    child = ProxyProcess.new(config, args: args)
    expect(child.wait.exitstatus).to eq status
    expect(child.stderr).to start_with "proxymachine: "
    expect(child.stderr).to match complaint
    expect(child.stderr.lines.grep_v(/\ATry `proxymachine --help`/).size).to eq 1
  end

  {
    "listen 'nowhere'" => /cannot listen on "nowhere": expected "host:port"/,
    "listen 5432" => /cannot listen on "5432": expected "host:port"/,
    "listen '127.0.0.1:0', :naem => 1" => /listen "127.0.0.1:0": no such option: :naem/,
    "listen '127.0.0.1:0', :local" => /listen "127.0.0.1:0": options are keys and values, not :local/,
    "listen '127.0.0.1:0', :name => 5" => /the name of a listener is a Symbol such as :local, not 5/,
    "listen '127.0.0.1:0', :proxy_protocol => ['everyone']" =>
      %r{"everyone" is no IP address and no network such as "10.0.0.0/8"},
    "listen '127.0.0.1:0', :proxy_protocol => true" => /takes the networks that are trusted, such as \["10/,
    "listen '127.0.0.1:0', :proxy_protocol => []" => /takes the networks that are trusted/,
    "listen '127.0.0.1:0', :proxy_protocol => '10.0.0.0/8'" => /takes the networks that are trusted/,
    "listen 'unix:/tmp/x', :mode => '0600'" => /:mode takes a number such as 0660, not "0600"/,
    "listen 'unix:/tmp/x', :mode => 01777" => /:mode takes a number such as 0660, not 1023/,
    "listen 'unix:/tmp/x', :user => 'no-such-user'" => /there is no user "no-such-user"/,
    "listen 'unix:/tmp/x', :user => -1" => /there is no user -1/,
    "listen 'unix:/tmp/x', :group => 'no-such-group'" => /there is no group "no-such-group"/,
    "listen '127.0.0.1:0', :mode => 0600" => /listen "127.0.0.1:0": :mode is for the file of a Unix socket/,
    "listen 'unix:@name', :user => 0" => /listen "unix:@name": :user is for the file of a Unix socket/,
    "listen 'unix:@'" => /cannot listen on "unix:@": expected "host:port"/,
    "listen 'unix:/no-such-folder/pm.sock'" => %r{cannot listen on unix:/no-such-folder/pm.sock: No such file},
    "listen 'unix:/tmp/#{"x" * 108}'" => %r{cannot listen on unix:/tmp/x+: its path is longer than 107 bytes},
    "listen 'no-such-host.invalid:80'" => /cannot resolve no-such-host.invalid: /,
    "threads 1.5" => /threads takes a whole number above 0, not 1.5/,
    "threads 2**31" => /threads takes a whole number up to 2147483647, not 2147483648/,
    "run_as 'no-such-user'" => /cannot run as no-such-user: can't find user for no-such-user/,
    "proxy(:nobody) { :close }" => /proxy\(:nobody\): no listener has that name/,
    "proxy(5) { :close }" => /the name of a listener is a Symbol such as :local, not 5/
  }.each do |config, complaint|
    it "#{config} prevents the start" do
      expect_not_to_start("#{config}\nproxy { :close }", complaint)
    end
  end

  it "a listener without a block prevents the start" do
    expect_not_to_start("listen '127.0.0.1:0', :name => :a\nproxy(:a) { :close }", /no proxy block for 127.0.0.1:0/)
  end

  {
    %w[--bind nowhere] => [1, /cannot listen on "nowhere": expected "host:port"/],
    %w[--bind] => [2, /missing argument: --bind/],
    %w[-p http] => [2, /invalid port "http": -p takes a number from 0 to 65535/],
    %w[--threads 0] => [2, /threads takes a whole number above 0, not "0"/],
    %w[--decision-timeout soon] => [2, /decision_timeout takes a number of seconds \(0 is no limit\), not "soon"/],
    %w[--user no-such-user] => [1, /cannot run as no-such-user/]
  }.each do |args, (status, complaint)|
    it "the flags #{args.join(" ")} prevent the start" do
      expect_not_to_start("proxy { :close }", complaint, args: args, status: status)
    end
  end
end
