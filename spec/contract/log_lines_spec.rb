# frozen_string_literal: true

# CONTRACT 6: people grep these lines, so their text and level stay.
RSpec.describe "The log" do
  running(:backend) { Backends.once("backend") }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        case data
        when /\\Await/ then { :noop => true }
        when /\\Along close/ then { :close => data }
        when /\\Along data/ then { :remote => #{backend.address.inspect}, :data => data, :reply => data }
        when /\\Along string/ then data
        when "control" then { :close => "a\\nb\\e[31m\\0" }
        else { :remote => #{backend.address.inspect} }
        end
      end
    RUBY
  end

  it "begins with the address and how to quit" do
    expect(proxy.log.scan(ProxyProcess::LINE).first(3)).to eq [
      ["INFO", "Listening on 127.0.0.1:#{proxy.port}"],
      ["INFO", "Send QUIT to quit after waiting for all connections to finish."],
      ["INFO", "Send TERM or INT to quit after waiting for up to 10 seconds for connections to finish."]
    ]
  end

  it "tells the life of a connection" do
    client = connect.write("x")
    client.read_all
    expect(proxy.settle.lines.first(4)).to eq [
      "INFO Accepted #{client.address}",
      "INFO #{client.address} #{{ remote: backend.address }.inspect}",
      "INFO Establishing new connection with #{backend.address}",
      "INFO Successful connection to #{backend.address}"
    ]
  end

  it "shows every answer of the block" do
    client = connect
    3.times do |round|
      client.write(round.zero? ? "wait" : ".")
      eventually { proxy.lines.grep(answer_line(client, { noop: true })).size == round + 1 }
    end
  end

  it "names an IPv6 client as address and port" do
    proxy = ProxyProcess.start("proxy { |data| { :close => true } }", args: %w[-h ::1 -p 0])
    client = Client.new(proxy.port, host: "::1")
    port = client.socket.local_address.ip_port
    expect(proxy.await(/\AINFO Accepted /)).to match(/\AINFO Accepted (\[::1\]|::1):#{port}\z/)
  end

  ["long close", "long string"].each do |kind|
    it "cuts payloads after some hundred bytes: #{kind}" do
      secret = "#{kind} #{"x" * 200} secret #{"y" * 100_000}"
      client = connect.write(secret)
      client.read_all
      answer = proxy.await(/\AINFO #{client.address} /)
      expect(answer).to include("#{kind} xxxx").and have_attributes(size: be < 1_000)
      expect(proxy.settled_log).not_to include "secret"
    end
  end

  it "cuts each of several payloads" do
    client = connect.write("long data #{"x" * 5_000}")
    client.read_all
    answer = proxy.await(/\AINFO #{client.address} /)
    expect(answer).to include("remote", "data", "reply", backend.address).and have_attributes(size: be < 1_000)
  end

  it "keeps one line a line, whatever a payload holds" do
    client = connect.write("control")
    client.read_all
    expect(proxy.settle.lines).to include(answer_line(client, { close: "a\nb\e[31m\0" }))
  end

  it "has its lines in the order of the events of a connection, also among many" do
    clients = Array.new(30) { connect }
    clients.each { |client| client.write("x") }
    clients.each(&:read_all)
    clients.each do |client|
      of_client = proxy.settle.lines.grep(/#{client.address}\b/)
      expect(of_client).to match [/\AINFO Accepted/, /\AINFO #{client.address} \{/]
    end
  end

  it "does not speak of clients that close in progress when they close an established connection" do
    greeting = Backends.greeting("welcome")
    proxy = ProxyProcess.start("proxy { |data| { :remote => #{greeting.address.inspect} } }")
    client = connect(proxy).write("x")
    client.read(7)
    client.close
    eventually { expect(greeting.session).to be_ended }
    eventually { expect(proxy.connections).to eq 0 }
    expect(proxy.settle.lines.grep(/Dropping/)).to eq []
  end
end
