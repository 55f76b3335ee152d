# frozen_string_literal: true

# `proxy_timeout`: what becomes of a client about which nothing could be decided in time.
RSpec.describe "A proxy_timeout block" do
  running(:greeting) { Backends.greeting("220 hello") }
  running(:once) { Backends.once("once") }

  def timing_out(answer, block = "proxy { :noop }")
    ProxyProcess.start("decision_timeout 0.1\n#{block}\nproxy_timeout { |data, client| #{answer} }")
  end

  it "takes who is silent to the server that speaks first, and who talks by what it says" do
    proxy = timing_out(greeting.address.inspect, "proxy { #{once.address.inspect} }")
    expect(connect(proxy).read(9)).to eq "220 hello"
    expect(ask("hi", timing_out(greeting.address.inspect, "proxy { #{once.address.inspect} }"))).to eq "once:hi"
  end

  it "is told what has come, and from whom" do
    proxy = timing_out("{ :close => [data, client.ip, client.listener].inspect }")
    expect(ask("half", proxy)).to eq '["half", "127.0.0.1", "127.0.0.1:0"]'
    expect(connect(proxy).read_all).to eq '["", "127.0.0.1", "127.0.0.1:0"]'
  end

  it "may replay what has come, or something else" do
    expect(ask("half", timing_out("{ :remote => #{once.address.inspect} }"))).to eq "once:half"
    expect(ask("half", timing_out("{ :remote => #{once.address.inspect}, :data => 'it', :reply => 'so ' }")))
      .to eq "so once:it"
  end

  it "may close, with words or without" do
    expect(connect(timing_out("{ :close => '408' }")).read_all).to eq "408"
    proxy = timing_out(":close")
    expect(connect(proxy).read_all).to eq ""
    expect(proxy.errors).to be_empty
  end

  it "may wait as long again, silently or with words, and is then asked again" do
    proxy = timing_out("(@asked = @asked.to_i + 1) < 3 ? { :noop => \"still? \" } : { :close => 'no.' }")
    expect(connect(proxy).read_all).to eq "still? still? no."
    proxy = timing_out("(@asked = @asked.to_i + 1) < 3 ? { :noop => true, :reply => '?' } : { :close => '!' }")
    expect(connect(proxy).read_all).to eq "??!"
  end

  it "leaves what comes while it waits to the proxy block" do
    proxy = timing_out("{ :noop => 'go on' }", "proxy { |data| data == 'half' ? :noop : { :close => data } }")
    client = connect(proxy).write("half")
    expect(client.read(5)).to eq "go on"
    expect(client.write("whole").read_all).to end_with "halfwhole" # After more of "go on", if it took long.
  end

  it "that answers what is none, or raises, costs its own connection" do
    proxy = timing_out("data == 'x' ? raise('no luck') : nil")
    expect(connect(proxy).read_all).to eq ""
    proxy.await(/ERROR \S+ invalid answer nil/)
    expect(ask("x", proxy)).to eq ""
    proxy.await("ERROR RuntimeError - no luck")
  end

  it "that is not there has the connection closed, with a line" do
    proxy = ProxyProcess.start("decision_timeout 0.1\nproxy { :noop }")
    expect(ask("half", proxy)).to eq ""
    proxy.await(/INFO \S+ no decision after 0.1s. Closing./)
  end
end
