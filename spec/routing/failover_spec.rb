# frozen_string_literal: true

# Several remotes in one answer, :retries and :retry_delay, and the answers of proxy_connect_error.
RSpec.describe "Several remotes:" do
  running(:once) { Backends.once("once") }
  running(:other) { Backends.once("other") }

  def routed(answer, text = "hello", more = "")
    ask(text, @proxy = ProxyProcess.start("proxy { |data| #{answer} }\n#{more}"))
  end

  it "the first reachable remote is used" do
    expect(routed({ remote: [refused_address, once.address, other.address] }.inspect)).to eq "once:hello"
    expect(other.sessions).to be_empty
    expect(@proxy.settle.lines.grep(/Retrying|ERROR/)).to be_empty
  end

  it "a remote that does not accept within :connect_timeout is skipped" do
    hole = Backends.black_hole
    expect(routed({ remote: [hole.address, once.address], connect_timeout: 0.1, retries: 0 }.inspect))
      .to eq "once:hello"
  end

  it "an unresolvable name and a missing Unix socket are skipped" do
    expect(routed({ remote: ["no-such-host.invalid:80", once.address], retries: 0, connect_timeout: 5 }.inspect))
      .to eq "once:hello"
    expect(routed({ remote: ["unix:/nowhere/pm.sock", "unix:@nowhere", once.address], retries: 0 }.inspect))
      .to eq "once:hello"
  end

  it ":retries is the number of further rounds over all remotes" do
    refused = [refused_address, refused_address]
    callback = "proxy_connect_error { |remote| puts \"callback: \#{remote}\" }"
    expect(routed({ remote: refused, retries: 2, retry_delay: 0.01 }.inspect, "x", callback)).to eq ""
    tried = refused.map { |remote| "INFO Establishing new connection with #{remote}" }
    retrying = ->(round) { "WARN Retrying connection with #{refused.first} (##{round})" }
    expect(@proxy.settle.lines.grep(/Establishing|Retrying|ERROR/)).to eq [
      *tried, retrying[1], *tried, retrying[2], *tried,
      "ERROR Connect #{refused.join(", ")} failed after 3 attempts."
    ]
    expect(@proxy.log).to include "callback: #{refused.join(", ")}\n"
  end

  it ":retries is the number of further attempts of a single remote" do
    expect(routed({ remote: refused_address, retries: 2, retry_delay: 0.01 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/).size).to eq 2
    expect(@proxy.errors.first).to end_with "failed after 3 attempts."
  end

  it "a remote that comes up is found in the next round" do
    backend = Backends.refusing { |session| session.write("late:#{session.read}") }
    proxy = ProxyProcess.start("proxy { #{{ remote: [refused_address, backend.address], retries: 1000 }.inspect} }")
    client = connect(proxy).write("hello")
    proxy.await(/Retrying .* \(#1\)/)
    backend.listen
    expect(client.read_all).to eq "late:hello"
  end

  it ":retry_delay 0 means no pause, :retries 0 a single attempt" do
    expect(routed({ remote: refused_address, retries: 30, retry_delay: 0 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/).size).to eq 30
    expect(routed({ remote: refused_address, retries: 0 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/)).to be_empty
    expect(@proxy.errors.first).to end_with "failed after 1 attempt."
  end

  it "a failure after the connection names the connected remote" do
    closing = Backends.closing
    expect(routed({ remote: [refused_address, closing.address] }.inspect)).to eq ""
    expect(@proxy.errors).to eq ["ERROR Connection with #{closing.address} was terminated prematurely."]
  end
end

RSpec.describe "proxy_connect_error answer:" do
  running(:once) { Backends.once("once") }
  # The callback answers the Ruby code that its client sends.
  running(:proxy) do
    ProxyProcess.start("proxy { |data| @said = data; { :remote => #{refused_address.inspect}, :retries => 0 } }\n" \
                       "proxy_connect_error { |remote| eval(@said) }")
  end

  def failing(answer, options = {})
    route = { remote: refused_address, retries: 0 }.merge(options)
    ProxyProcess.start("proxy { #{route.inspect} }\nproxy_connect_error { |remote| #{answer} }")
  end

  it "a :close text is sent to the client" do
    expect(ask("GET /", failing("{ :close => \"HTTP/1.1 503 Service Unavailable\\r\\n\\r\\n\" }")))
      .to eq "HTTP/1.1 503 Service Unavailable\r\n\r\n"
  end

  it "one or several remotes are dialed, with all keys of an answer" do
    expect(ask("hello", failing("{ :remote => #{once.address.inspect} }"))).to eq "once:hello"
    several = { remote: [refused_address, once.address], data: "else", reply: "wait " }
    expect(ask("hello", failing(several.inspect))).to eq "wait once:else"
  end

  it "after a premature end, a :close text is sent, and a remote is ignored" do
    closing = Backends.closing
    words = failing("{ :close => '502' }", remote: closing.address)
    expect(ask("hello", words)).to eq "502"
    expect(ask("hello", failing("{ :remote => #{once.address.inspect} }", remote: closing.address))).to eq ""
    expect(once.sessions).to be_empty
  end

  # 1.2.4 ignored the value, so that existing callbacks return the value of their last line, whatever it is.
  ["nil", "true", "false", "1", "1.5", "'10.0.0.1:80'", ":close", ":noop", "[]", "{}", "{ 'remote' => 'x:1' }",
   "{ :noop => true }", "{ :close => true }", "Object.new", "puts('told')"].each do |accidental|
    it "#{accidental} is ignored" do
      expect(ask(accidental, proxy)).to eq ""
      expect(proxy.errors).to match [/ERROR Connect \S+ failed after 1 attempt.\z/]
    end
  end

  it "a cycle of failing remotes ends" do
    circle = "{ :remote => #{refused_address.inspect}, :retries => 0 }"
    proxy = ProxyProcess.start("proxy { #{circle} }\nproxy_connect_error { #{circle} }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.errors.last).to end_with "proxy_connect_error named another remote more than 10 times. Closing."
  end

  it "an invalid route is logged as an error" do
    proxy = failing("{ :remote => 'nowhere' }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.errors.last).to match(/\AERROR \S+ invalid remote "nowhere": it has no port/)
  end

  it "a slow callback delays no other connection, and an exception closes only its own" do
    proxy = failing("raise 'no luck'")
    2.times { expect(ask("hello", proxy)).to eq "" }
    expect(proxy.errors.grep(/no luck/).size).to eq 2
  end
end
