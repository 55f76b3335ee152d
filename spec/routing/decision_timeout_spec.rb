# frozen_string_literal: true

# `proxy_timeout`: called when decision_timeout expires.
RSpec.describe "proxy_timeout:" do
  running(:greeting) { Backends.greeting("220 hello") }
  running(:once) { Backends.once("once") }

  def timing_out(answer, block = "proxy { :noop }", after: 0.1)
    ProxyProcess.start("decision_timeout #{after}\n#{block}\nproxy_timeout { |data, client| #{answer} }")
  end

  # A client that sends data, however late it arrives.
  def timing_out_talker(answer)
    timing_out("next :noop if data.empty?; #{answer}")
  end

  it "routes a silent client to a server-first backend, and a client with data by its data" do
    config = [greeting.address.inspect, "proxy { #{once.address.inspect} }"]
    expect(connect(timing_out(*config)).read(9)).to eq "220 hello"
    expect(ask("hi", timing_out(*config, after: 60))).to eq "once:hi"
  end

  it "receives the data and the client" do
    answer = "{ :close => [data, client.ip, client.listener].inspect }"
    expect(ask("half", timing_out_talker(answer))).to eq '["half", "127.0.0.1", "127.0.0.1:0"]'
    expect(connect(timing_out(answer)).read_all).to eq '["", "127.0.0.1", "127.0.0.1:0"]'
  end

  it "may replay the data, or :data instead" do
    expect(ask("half", timing_out_talker("{ :remote => #{once.address.inspect} }"))).to eq "once:half"
    answer = "{ :remote => #{once.address.inspect}, :data => 'it', :reply => 'so ' }"
    expect(ask("half", timing_out_talker(answer))).to eq "so once:it"
  end

  it "may close, with a text or without" do
    expect(connect(timing_out("{ :close => '408' }")).read_all).to eq "408"
    proxy = timing_out(":close")
    expect(connect(proxy).read_all).to eq ""
    expect(proxy.errors).to be_empty
  end

  it "may wait once more, with a text or without, and is then called again" do
    proxy = timing_out("(@asked = @asked.to_i + 1) < 3 ? { :noop => \"still? \" } : { :close => 'no.' }")
    expect(connect(proxy).read_all).to eq "still? still? no."
    proxy = timing_out("(@asked = @asked.to_i + 1) < 3 ? { :noop => true, :reply => '?' } : { :close => '!' }")
    expect(connect(proxy).read_all).to eq "??!"
  end

  it "leaves data that arrives while it waits to the proxy block" do
    proxy = timing_out("{ :noop => 'go on' }", "proxy { |data| data == 'half' ? :noop : { :close => data } }")
    client = connect(proxy).write("half")
    expect(client.read(5)).to eq "go on"
    expect(client.write("whole").read_all).to end_with "halfwhole" # after further "go on" on a slow machine
  end

  it "an invalid answer or an exception closes only its own connection" do
    { "nil" => /ERROR \S+ invalid answer nil/, "raise('no luck')" => "ERROR RuntimeError - no luck" }
      .each do |answer, line|
        proxy = timing_out(answer)
        expect(connect(proxy).read_all).to eq ""
        proxy.await(line)
      end
  end

  it "without the block, the connection is closed with a log line" do
    proxy = ProxyProcess.start("decision_timeout 0.1\nproxy { :noop }")
    expect(ask("half", proxy)).to eq ""
    proxy.await(/INFO \S+ no decision after 0.1s. Closing./)
  end
end
