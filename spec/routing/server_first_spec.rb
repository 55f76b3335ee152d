# frozen_string_literal: true

# `proxy_accept`: protocols in which the server sends first.
RSpec.describe "proxy_accept:" do
  running(:once) { Backends.once("once") }
  running(:smtp) do
    Backend.new do |session|
      session.write("220 backend ready\r\n")
      while (line = session.read)
        session.write(line.start_with?("QUIT") ? "221 bye\r\n" : "250 #{line}")
        break if line.start_with?("QUIT")
      end
    end
  end

  # The block evaluates a file that each example writes.
  running(:proxy) do
    @answer = File.join(Dir.mktmpdir("proxymachine-spec"), "answer")
    File.write(@answer, ":noop")
    ProxyProcess.start(<<~RUBY)
      proxy_accept { |client| eval(File.read(#{@answer.inspect})) }
      proxy { |data| { :close => "heard \#{data}" } }
    RUBY
  end
  after { File.write(@answer, ":noop") }
  after(:context) { FileUtils.rm_rf(File.dirname(@answer)) }

  def accepted(answer)
    File.write(@answer, answer)
    connect
  end

  it "routes a client before its first byte" do
    client = accepted({ remote: smtp.address }.inspect)
    expect(client.read(19)).to eq "220 backend ready\r\n"
    expect(client.write("EHLO me\r\n").read(13)).to eq "250 EHLO me\r\n"
    expect(client.write("QUIT\r\n").read_all).to eq "221 bye\r\n"
    expect(smtp.received).to eq ["EHLO me\r\nQUIT\r\n"]
  end

  it "may answer a remote alone" do
    expect(accepted(smtp.address.inspect).read(4)).to eq "220 "
  end

  it "may answer :reply and :data" do
    answer = { remote: once.address, reply: "hello\n", data: "from the proxy" }
    expect(accepted(answer.inspect).read_all).to eq "hello\nonce:from the proxy"
  end

  it "may greet and wait, by both forms" do
    ["{ :noop => true, :reply => '220 hello' }", "{ :noop => '220 hello' }",
     "{ :noop => '220 hello', :reply => 'not this' }"].each do |answer|
      client = accepted(answer)
      expect(client.read(9)).to eq "220 hello"
      expect(client.write("HELO").read_all).to eq "heard HELO"
    end
  end

  it "may wait by :noop, nil and false, so that it can handle some clients only" do
    [":noop", "{ :noop => true }", "nil", "false", "'220 hello' if client.port == 1"].each do |answer|
      client = accepted(answer)
      expect(client.write("x").read_all).to eq "heard x"
    end
    expect(proxy.errors).to be_empty
  end

  it "may close, with a text or without" do
    expect(accepted(":close").read_all).to eq ""
    expect(accepted("{ :close => true }").read_all).to eq ""
    expect(accepted("{ :close => '554 go away' }").read_all).to eq "554 go away"
    expect(proxy.errors).to be_empty
  end

  it "receives the client" do
    client = accepted("{ :close => [client.ip, client.port, client.local_port, client.listener].join(' ') }")
    expect(client.read_all).to eq "127.0.0.1 #{client.socket.local_address.ip_port} #{proxy.port} 127.0.0.1:0"
  end

  it "an exception or an invalid answer closes only its own connection" do
    expect(accepted("raise 'no luck'").read_all).to eq ""
    proxy.await("ERROR RuntimeError - no luck")
    expect(accepted("42").read_all).to eq ""
    proxy.await(/ERROR \S+ invalid answer 42: expected /)
    expect(accepted("{ :remote => 'nowhere' }").read_all).to eq ""
    proxy.await(/ERROR \S+ invalid remote "nowhere": it has no port/)
    expect(accepted(":noop").write("x").read_all).to eq "heard x"
  end

  it "may greet each client individually, and leave the decision to the proxy block" do
    client = accepted('{ :noop => true, :reply => "220 hello #{client.ip}\r\n" }')
    expect(client.read(21)).to eq "220 hello 127.0.0.1\r\n"
    expect(client.write("QUIT").read_all).to eq "heard QUIT"
  end

  it "is called once, before the proxy block, which receives the client's data" do
    config = <<~RUBY
      asked = []
      proxy_accept { |client| asked << "accept"; { :noop => true, :reply => "?" } }
      proxy { |data| asked << data; data.size < 2 ? :noop : { :close => asked.inspect } }
    RUBY
    proxy = ProxyProcess.start(config)
    client = connect(proxy)
    expect(client.read(1)).to eq "?"
    client.write("a")
    proxy.await(answer_log_line(client, :noop))
    expect(client.write("b").read_all).to eq '["accept", "a", "ab"]'
  end

  it "the proxy block may route by the reply to the greeting, and not replay it" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy_accept { { :noop => true, :reply => "220 which one?\\r\\n" } }
      proxy { |data| data.end_with?("\\r\\n") ? { :remote => #{smtp.address.inspect}, :data => "" } : :noop }
    RUBY
    client = connect(proxy)
    expect(client.read(16)).to eq "220 which one?\r\n"
    expect(client.write("the first\r\n").read(19)).to eq "220 backend ready\r\n"
    expect(client.write("QUIT\r\n").read_all).to eq "221 bye\r\n"
  end
end

RSpec.describe "Greeting by the proxy block:" do
  it "a text may be sent before waiting, except where 1.2.4 ignored :reply" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data| data == "a" ? { :noop => "more" } : { :close => data } }
    RUBY
    client = connect(proxy).write("a")
    expect(client.read(4)).to eq "more"
    expect(client.write("b").read_all).to eq "ab"
    ignored = "proxy { |data| data == 'a' ? { :noop => true, :reply => 'not this' } : { :close => data } }"
    proxy = ProxyProcess.start(ignored)
    client = connect(proxy).write("a")
    proxy.await(/noop/)
    expect(client.write("b").read_all).to eq "ab"
  end
end
