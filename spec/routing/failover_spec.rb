# frozen_string_literal: true

# Several remotes in one answer, how often and how soon they are tried, and what the callback may answer.
RSpec.describe "An answer with several remotes" do
  running(:once) { Backends.once("once") }
  running(:other) { Backends.once("other") }

  def routed(answer, text = "hello", more = "")
    ask(text, @proxy = ProxyProcess.start("proxy { |data| #{answer} }\n#{more}"))
  end

  it "goes to the first that can be reached" do
    expect(routed({ remote: [address_of_refused, once.address, other.address] }.inspect)).to eq "once:hello"
    expect(other.sessions).to be_empty
    expect(@proxy.settle.lines.grep(/Retrying|ERROR/)).to be_empty
  end

  it "goes on at once when one does not answer within :connect_timeout" do
    hole = Backends.black_hole
    expect(routed({ remote: [hole.address, once.address], connect_timeout: 0.1, retries: 0 }.inspect))
      .to eq "once:hello"
  end

  it "goes on when one cannot be resolved, or is a Unix socket that is not there" do
    expect(routed({ remote: ["no-such-host.invalid:80", once.address], retries: 0, connect_timeout: 5 }.inspect))
      .to eq "once:hello"
    expect(routed({ remote: ["unix:/nowhere/pm.sock", "unix:@nowhere", once.address], retries: 0 }.inspect))
      .to eq "once:hello"
  end

  it "goes round, as often as :retries says" do
    refused = [address_of_refused, address_of_refused]
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

  it "or one alone is tried as often as it says" do
    expect(routed({ remote: address_of_refused, retries: 2, retry_delay: 0.01 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/).size).to eq 2
    expect(@proxy.errors.first).to end_with "failed after 3 attempts."
  end

  it "finds one in the next round that was not there in the first" do
    backend = Backends.refusing { |session| session.write("late:#{session.read}") }
    proxy = ProxyProcess.start("proxy { #{{ remote: [address_of_refused, backend.address], retries: 1000 }.inspect} }")
    client = connect(proxy).write("hello")
    proxy.await(/Retrying .* \(#1\)/)
    backend.listen
    expect(client.read_all).to eq "late:hello"
  end

  it "tries without a pause when :retry_delay is 0, and once when :retries is 0" do
    expect(routed({ remote: address_of_refused, retries: 30, retry_delay: 0 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/).size).to eq 30
    expect(routed({ remote: address_of_refused, retries: 0 }.inspect)).to eq ""
    expect(@proxy.settle.lines.grep(/Retrying/)).to be_empty
    expect(@proxy.errors.first).to end_with "failed after 1 attempt."
  end

  it "names the one that was connected, when that fails later" do
    closing = Backends.closing
    expect(routed({ remote: [address_of_refused, closing.address] }.inspect)).to eq ""
    expect(@proxy.errors).to eq ["ERROR Connection with #{closing.address} was terminated prematurely."]
  end
end

RSpec.describe "What a proxy_connect_error block answers" do
  running(:once) { Backends.once("once") }

  def failing(answer, options = {})
    route = { remote: address_of_refused, retries: 0 }.merge(options)
    ProxyProcess.start("proxy { #{route.inspect} }\nproxy_connect_error { |remote| #{answer} }")
  end

  it "may be last words" do
    expect(ask("GET /", failing("{ :close => \"HTTP/1.1 503 Service Unavailable\\r\\n\\r\\n\" }")))
      .to eq "HTTP/1.1 503 Service Unavailable\r\n\r\n"
  end

  it "may be another remote, or several, with all that an answer may say" do
    expect(ask("hello", failing("{ :remote => #{once.address.inspect} }"))).to eq "once:hello"
    several = { remote: [address_of_refused, once.address], data: "else", reply: "wait " }
    expect(ask("hello", failing(several.inspect))).to eq "wait once:else"
  end

  it "may be last words after a backend that closed without a byte, but no other remote" do
    closing = Backends.closing
    words = failing("{ :close => '502' }", remote: closing.address)
    expect(ask("hello", words)).to eq "502"
    expect(ask("hello", failing("{ :remote => #{once.address.inspect} }", remote: closing.address))).to eq ""
    expect(once.sessions).to be_empty
  end

  # 1.2.4 ignored it, so existing callbacks answer whatever their last line happens to be.
  ["nil", "true", "false", "1", "1.5", "'10.0.0.1:80'", ":close", ":noop", "[]", "{}", "{ 'remote' => 'x:1' }",
   "{ :noop => true }", "{ :close => true }", "Object.new", "puts('told')"].each do |accidental|
    it "means nothing when it is #{accidental}" do
      proxy = failing(accidental)
      expect(ask("hello", proxy)).to eq ""
      expect(proxy.errors).to match [/ERROR Connect \S+ failed after 1 attempt.\z/]
    end
  end

  it "ends a circle of remotes that all fail" do
    circle = "{ :remote => #{address_of_refused.inspect}, :retries => 0 }"
    proxy = ProxyProcess.start("proxy { #{circle} }\nproxy_connect_error { #{circle} }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.errors.last).to end_with "proxy_connect_error named another remote more than 10 times. Closing."
  end

  it "is complained of when it is a route that cannot be" do
    proxy = failing("{ :remote => 'nowhere' }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.errors.last).to match(/\AERROR \S+ invalid remote "nowhere": it has no port/)
  end

  it "is not waited for by the others, and an exception costs its own connection" do
    proxy = failing("raise 'no luck'")
    2.times { expect(ask("hello", proxy)).to eq "" }
    expect(proxy.errors.grep(/no luck/).size).to eq 2
  end
end
