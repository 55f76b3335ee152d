# frozen_string_literal: true

# CONTRACT 5: how a relay ends.
RSpec.describe "The end of a relay" do
  running(:echo) { Backends.echo }
  running(:patient) { Backends.patient("patient") }
  running(:greeting) { Backends.greeting("welcome") }
  running(:finishing) do
    # Says goodbye and ends its side only.
    Backend.new do |session|
      session.write("goodbye")
      session.socket.shutdown(Socket::SHUT_WR)
      session.drain
    end
  end
  running(:resetting) do
    Backend.new do |session|
      session.write("hello")
      session.read_until("resettingnowreset".size)
      session.reset
    end
  end
  before(:context) { @partings = Queue.new }
  attr_reader :partings

  running(:parting) do
    # Says its last words and ends in one packet, when it is told to.
    Backend.new do |session|
      session.read
      session.write("hello")
      partings.pop
      session.socket.send("goodbye", Socket::MSG_MORE)
      session.close
    end
  end
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "echo" => #{echo.address.inspect}, "patient" => #{patient.address.inspect},
        "greeting" => #{greeting.address.inspect}, "finishing" => #{finishing.address.inspect},
        "resetting" => #{resetting.address.inspect}, "parting" => #{parting.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data) } }
      proxy_connect_error { |remote| puts "callback for \#{remote}" }
    RUBY
  end

  def relay(kind, first_answer)
    client = connect.write(kind)
    expect(client.read(first_answer.bytesize)).to eq first_answer
    client
  end

  # Where tcp_info (linux/tcp.h) has them.
  def tcp_info(client, name)
    offset = { tcpi_unacked: 24, tcpi_segs_in: 140 }.fetch(name)
    client.socket.getsockopt(:TCP, :INFO).data.unpack1("L", offset: offset)
  end

  def expect_no_trouble
    expect(proxy.errors).to eq []
    expect(proxy.settled_log).not_to match(/Dropping|callback/)
    expect(relay("echo", "echo").write("!").read(1)).to eq "!"
  end

  it "is passed on to the server when the client has sent everything, and the client still gets its reply" do
    client = connect.write("patient")
    proxy.await("INFO Successful connection to #{patient.address}")
    expect(client.write(", and the rest").finish.read_all).to eq "patient:patient, and the rest"
    expect_no_trouble
  end

  it "leaves the other direction open as long as it is used" do
    client = connect.write("patient")
    proxy.await("INFO Successful connection to #{patient.address}")
    client.write("x" * 3_000_000).finish
    expect(client.read_all.size).to eq "patient:patient".size + 3_000_000
  end

  it "closes the client when the server has said everything" do
    expect(ask("finishing")).to eq "goodbye"
    eventually { expect(finishing.session).to be_ended }
    expect_no_trouble
  end

  it "reaches the client in one packet with the server's last words, if they have come together" do
    client = relay("parting", "hello")
    eventually { expect(tcp_info(client, :tcpi_unacked)).to eq 0 }
    before = tcp_info(client, :tcpi_segs_in)
    partings << true
    expect(client.read_all).to eq "goodbye"
    expect(tcp_info(client, :tcpi_segs_in) - before).to eq 1
  end

  it "closes the server's connection when the client closes" do
    client = relay("greeting", "welcome")
    client.close
    eventually { expect(greeting.session).to be_ended }
    expect_no_trouble
  end

  it "closes both sockets once both directions have ended" do
    sockets = proxy.open_sockets
    10.times { connect.write("patient").finish.read_all }
    10.times { relay("greeting", "welcome").close }
    eventually { expect(proxy.open_sockets).to be <= sockets }
    eventually { expect(proxy.connections).to eq 0 }
  end

  it "closes the server's connection when the client resets its own" do
    client = relay("echo", "echo")
    client.reset
    eventually { expect(echo.session).to be_ended }
    expect_no_trouble
  end

  it "closes the client's connection when the server resets its own" do
    client = relay("resetting", "hello")
    client.write("now")
    proxy.await("INFO Successful connection to #{resetting.address}")
    client.write("reset")
    expect(client).to be_ended
    expect_no_trouble
  end

  it "by a reset, with data in flight both ways, harms no other connection" do
    other = relay("echo", "echo")
    20.times do
      client = relay("echo", "echo")
      client.write("x" * 200_000)
      client.reset
    end
    expect(other.write("still there?").read(12)).to eq "still there?"
    eventually { expect(proxy.connections).to eq 1 }
    other.close
    expect_no_trouble
  end

  it "by resets before anything is said, harms nobody" do
    50.times { connect.reset }
    expect_no_trouble
    eventually { expect(proxy.connections).to be <= 1 }
  end
end
