# frozen_string_literal: true

# What 2.0 routes that 1.2.4 could not.
RSpec.describe "A config" do
  running(:echo) { Backends.echo }
  running(:once) { Backends.once("once") }

  def routed(answer, text = "hello", **options)
    ProxyProcess.start("proxy { |data| #{answer} }", **options).then { |proxy| ask(text, proxy) }
  end

  it "may name several remotes, which are tried in turn" do
    refused = address_of_refused
    expect(routed("{ :remote => [#{refused.inspect}, #{once.address.inspect}] }")).to eq "once:hello"
  end

  it "may say how often and how soon it is tried again" do
    answer = "{ :remote => #{address_of_refused.inspect}, :retries => 2, :retry_delay => 0.01 }"
    proxy = ProxyProcess.start("proxy { #{answer} }")
    expect(ask("x", proxy)).to eq ""
    expect(proxy.settle.lines.grep(/Retrying/).size).to eq 2
    expect(proxy.errors.first).to end_with "failed after 3 attempts."
  end

  it "may choose the address to connect from" do
    naming = Backend.new { |session| session.write(session.socket.remote_address.ip_address) }
    expect(routed("{ :remote => #{naming.address.inspect}, :local_host => '127.0.0.9' }")).to eq "127.0.0.9"
  end

  it "may tell the backend who the client is, in both versions" do
    expect(routed("{ :remote => #{once.address.inspect}, :proxy_protocol => 1 }"))
      .to match(/\Aonce:PROXY TCP4 127.0.0.1 127.0.0.1 \d+ \d+\r\nhello\z/)
    expect(routed("{ :remote => #{once.address.inspect}, :proxy_protocol => 2 }").b)
      .to match(/\Aonce:\r\n\r\n\0\r\nQUIT\n\x21\x11.*hello\z/mn)
  end

  it "may be told who the client is by those it trusts, and by nobody else" do
    config = "listen '127.0.0.1:0', :name => :%s, :proxy_protocol => ['%s']\n" \
             "proxy { |data, client| { :close => \"\#{client} \#{data}\" } }"
    header = "PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\n"
    trusting = ProxyProcess.start(format(config, "front", "127.0.0.0/8"), args: [])
    expect(ask("#{header}hello", trusting)).to eq "192.0.2.1:1111 hello"
    client = connect(trusting)
    header.each_char { |char| client.write(char) }
    expect(client.write("hi").read_all).to eq "192.0.2.1:1111 hi"
    expect(ask("GET / HTTP/1.0\r\n\r\n", trusting)).to eq ""
    trusting.await(/ERROR \S+ no PROXY header. Closing./)

    wary = ProxyProcess.start(format(config, "front", "10.0.0.0/8"), args: [])
    expect(ask("#{header}hello", wary)).to eq ""
    wary.await(/ERROR \S+ PROXY header from an address that is not trusted. Closing./)
    expect(ask("plain", wary)).to match(/\A127.0.0.1:\d+ plain\z/)
  end

  it "may greet a client before it has said anything" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy_accept { |client| { :noop => true, :reply => "220 hello \#{client.ip}\\r\\n" } }
      proxy { |data| { :close => "221 \#{data}" } }
    RUBY
    client = connect(proxy)
    expect(client.read(21)).to eq "220 hello 127.0.0.1\r\n"
    expect(client.write("QUIT").read_all).to eq "221 QUIT"
  end

  it "may say something and wait, though not beside an ignored :reply of 1.2.4" do
    expect(routed("data.size < 6 ? { :noop => 'more' } : { :close => data }", "hello!")).to eq "hello!"
    proxy = ProxyProcess.start("proxy { |data| data == 'a' ? { :noop => 'more' } : { :close => data } }")
    client = connect(proxy).write("a")
    expect(client.read(4)).to eq "more"
    expect(client.write("b").read_all).to eq "ab"
  end

  it "may name another remote, or last words, when one fails" do
    failing = "proxy { { :remote => #{address_of_refused.inspect}, :retries => 0 } }\n" \
              "proxy_connect_error { |remote| %s }"
    other = format(failing, "{ :remote => #{once.address.inspect} }")
    expect(ask("hello", ProxyProcess.start(other))).to eq "once:hello"
    expect(ask("hello", ProxyProcess.start(format(failing, "{ :close => '503' }")))).to eq "503"
    ["nil", "true", "1", "'x'", "{}", ":noop"].each do |nothing|
      proxy = ProxyProcess.start(format(failing, nothing))
      expect(ask("hello", proxy)).to eq ""
      expect(proxy.errors.size).to eq 1
    end
  end

  it "ends a circle of remotes that all fail" do
    refused = address_of_refused.inspect
    circle = "{ :remote => #{refused}, :retries => 0 }"
    proxy = ProxyProcess.start("proxy { #{circle} }\nproxy_connect_error { #{circle} }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.errors.last).to end_with "proxy_connect_error named another remote more than 10 times. Closing."
  end

  it "listens on Unix sockets, with a block of their own, and routes to them" do
    Dir.mktmpdir do |dir|
      path = File.join(dir, "pm.sock")
      proxy = ProxyProcess.start(<<~RUBY)
        listen "unix:#{path}", :name => :local, :mode => 0600
        proxy(:local) { |data| { :close => "local \#{data}" } }
        proxy { "unix:#{path}" }
      RUBY
      expect(File.stat(path).mode & 0o777).to eq 0o600
      expect(ask("hello", proxy)).to eq "local hello"
      proxy.signal("QUIT")
      proxy.wait
      expect(File).not_to exist(path)
    end
  end

  {
    "{ :remote => [] }" => "it lists none", "{ :remote => ['a'] }" => "it has no port",
    "{ :remote => 'a:1', :retries => -1 }" => "expected a whole number from 0",
    "{ :remote => 'a:1', :retry_delay => 'x' }" => "expected a number of seconds",
    "{ :remote => 'a:1', :local_host => 'x' }" => "expected an IP address",
    "{ :remote => 'a:1', :proxy_protocol => 3 }" => "expected 1 or 2"
  }.each do |answer, complaint|
    it "is told what is wrong with #{answer}" do
      proxy = ProxyProcess.start("proxy { #{answer} }")
      expect(ask("x", proxy)).to eq ""
      expect(proxy.errors).to match [/ERROR \S+ invalid .*#{complaint}/]
    end
  end

  {
    "listen 'nowhere'\nproxy { :close }" => /cannot listen on "nowhere": expected "host:port"/,
    "listen '127.0.0.1:0', :naem => 1\nproxy { :close }" => /no such option: :naem/,
    "listen '127.0.0.1:0', :proxy_protocol => ['everyone']\nproxy { :close }" => /everyone/,
    "listen '127.0.0.1:0', :proxy_protocol => true\nproxy { :close }" => /takes the networks that are trusted/,
    "listen '127.0.0.1:0', :proxy_protocol => []\nproxy { :close }" => /takes the networks that are trusted/,
    "listen 'unix:/tmp/x', :mode => '0600'\nproxy { :close }" => /:mode takes a number such as 0660, not "0600"/,
    "listen 'unix:/tmp/x', :user => 'no-such-user'\nproxy { :close }" => /there is no user "no-such-user"/,
    "proxy(:nobody) { :close }\nproxy { :close }" => /proxy\(:nobody\): no listener has that name/
  }.each do |config, complaint|
    it "does not start with #{config.lines.first.chomp}" do
      child = ProxyProcess.new(config)
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match complaint
      expect(child.stderr.lines.size).to eq 1
    end
  end
end
