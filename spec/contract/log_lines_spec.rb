# frozen_string_literal: true

require_relative "../../lib/proxymachine/safe_inspect"

# CONTRACT 6: operators grep for these lines, so that their text and level are fixed.
RSpec.describe "Log:" do
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

  it "begins with the address and the signals to quit" do
    expect(proxy.log.scan(ProxyProcess::LINE).first(3)).to eq [
      ["INFO", "Listening on 127.0.0.1:#{proxy.port}"],
      ["INFO", "Send QUIT to quit after waiting for all connections to finish."],
      ["INFO", "Send TERM or INT to quit after waiting for up to 10 seconds for connections to finish."]
    ]
  end

  it "has the life of a connection" do
    client = connect.write("x")
    client.read_all
    expect(proxy.settle.lines.first(4)).to eq [
      "INFO Accepted #{client.address}",
      "INFO #{client.address} #{{ remote: backend.address }.inspect}",
      "INFO Establishing new connection with #{backend.address}",
      "INFO Successful connection to #{backend.address}"
    ]
  end

  it "has every answer of the block" do
    client = connect
    3.times do |round|
      client.write(round.zero? ? "wait" : ".")
      eventually { proxy.lines.grep(answer_log_line(client, { noop: true })).size == round + 1 }
    end
  end

  # The line of a Hash with nothing but a plain remote is written without Ruby.
  it "has answers as Ruby inspects them" do
    own = 'class Own < String; def inspect = "mine"; end'
    proxy = ProxyProcess.start("#{own}\nproxy { |data| eval(data.force_encoding('UTF-8')) }")
    stub_const("Own", Class.new(String) { def inspect = "mine" })
    <<~'RUBY'.each_line(chomp: true) do |answer|
      { remote: "127.0.0.1:1" }
      { remote: :"127.0.0.1:1" }
      { remote: "a:1", data: "b" }
      { close: "127.0.0.1:1" }
      { remote: "a\"b:1" }
      { remote: "\#{a}:1" }
      { remote: "a\\b:1" }
      { remote: "a\tb:1" }
      { remote: "ü:1" }
      { remote: "a:1".encode("UTF-16LE") }
      { remote: "#{"a" * 100}:1" }
      { remote: Own.new("127.0.0.1:1") }
      { remote: "127.0.0.1:1".tap { |text| def text.inspect = "mine" } }
      { remote: "127.0.0.1:1" }.tap { |answer| def answer.inspect = "mine" }
      Hash.new("127.0.0.1:1").merge!(data: "x")
      "127.0.0.1:1"
    RUBY
      client = Client.new(proxy.port).write(answer)
      shown = ProxyMachine::SafeInspect.inspect(eval(answer)) # rubocop:disable Security/Eval
      expect(proxy.await(/\AINFO #{client.address} /).b).to end_with " #{shown}".b
      client.close
    end
  end

  it "has answers as a config's own inspect shows them" do
    proxy = ProxyProcess.start('class String; def inspect = "mine"; end; proxy { { remote: "127.0.0.1:1" } }')
    client = Client.new(proxy.port).write("x")
    expect(proxy.await(/\AINFO #{client.address} /)).to end_with({ remote: 1 }.inspect.sub("1", "mine"))
  end

  it "prints an IPv6 client as address and port" do
    proxy = ProxyProcess.start("proxy { |data| { :close => true } }", args: %w[-h ::1 -p 0])
    client = Client.new(proxy.port, host: "::1")
    port = client.socket.local_address.ip_port
    expect(proxy.await(/\AINFO Accepted /)).to match(/\AINFO Accepted (\[::1\]|::1):#{port}\z/)
  end

  ["long close", "long string"].each do |kind|
    it "truncates a payload after a few hundred bytes: #{kind}" do
      secret = "#{kind} #{"x" * 200} secret #{"y" * 100_000}"
      client = connect.write(secret)
      client.read_all
      answer = proxy.await(/\AINFO #{client.address} /)
      expect(answer).to include("#{kind} xxxx").and have_attributes(size: be < 1_000)
      expect(proxy.settled_log).not_to include "secret"
    end
  end

  it "truncates each of several payloads" do
    client = connect.write("long data #{"x" * 5_000}")
    client.read_all
    answer = proxy.await(/\AINFO #{client.address} /)
    expect(answer).to include("remote", "data", "reply", backend.address).and have_attributes(size: be < 1_000)
  end

  it "writes one line per event, whatever a payload contains" do
    client = connect.write("control")
    client.read_all
    expect(proxy.settle.lines).to include(answer_log_line(client, { close: "a\nb\e[31m\0" }))
  end

  it "has the lines of a connection in the order of its events, also among many connections" do
    clients = Array.new(30) { connect }
    clients.each { |client| client.write("x") }
    clients.each(&:read_all)
    clients.each do |client|
      of_client = proxy.settle.lines.grep(/#{client.address}\b/)
      expect(of_client).to match [/\AINFO Accepted/, /\AINFO #{client.address} \{/]
    end
  end

  it "does not report a client that closes an established connection as closed in progress", :process_title do
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
