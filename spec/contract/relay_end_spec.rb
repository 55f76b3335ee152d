# frozen_string_literal: true

# CONTRACT 5: the end of a relay.
RSpec.describe "Relay end:" do
  running(:echo) { Backends.echo }
  running(:patient) { Backends.reply_at_eof("patient") }
  running(:greeting) { Backends.greeting("welcome") }
  running(:finishing) do
    # Sends a last message and shuts down its side only.
    Backend.new do |session|
      session.write("goodbye")
      session.socket.shutdown(Socket::SHUT_WR)
      session.drain
    end
  end
  running(:wordless) do
    # Shuts down its side without a byte.
    Backend.new do |session|
      session.read
      session.socket.shutdown(Socket::SHUT_WR)
      session.drain
    end
  end
  running(:half) do
    Backend.new do |session|
      session.read
      session.write("x" * 1_000_000)
      eventually { expect(unsent(session.socket)).to eq 0 }
      session.reset
    end
  end
  running(:once) { Backends.once("once") }
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
    # Sends its last bytes and the FIN in one packet, on request.
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
        "resetting" => #{resetting.address.inspect}, "parting" => #{parting.address.inspect},
        "half" => #{half.address.inspect},
        "wordless" => #{wordless.address.inspect}, "once" => #{once.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data[/\\A[a-w]+/]) } }
      proxy_connect_error do |remote|
        puts "callback for \#{remote}"
        { :close => "sorry" } if remote == remotes["wordless"]
      end
    RUBY
  end

  def relay(kind, first_answer)
    client = connect.write(kind)
    expect(client.read(first_answer.bytesize)).to eq first_answer
    client
  end

  # Offsets in tcp_info (linux/tcp.h).
  def tcp_info(client, name)
    offset = { tcpi_unacked: 24, tcpi_segs_in: 140 }.fetch(name)
    client.socket.getsockopt(:TCP, :INFO).data.unpack1("L", offset: offset)
  end

  # The number of bytes that the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)).
  def unsent(socket)
    count = [0].pack("i")
    socket.ioctl(0x5411, count)
    count.unpack1("i")
  end

  def expect_no_trouble
    expect(proxy.errors).to eq []
    expect(proxy.settled_log).not_to match(/Dropping|callback/)
    expect(relay("echo", "echo").write("!").read(1)).to eq "!"
  end

  it "the client's FIN is passed on to the backend, and the client still receives the reply" do
    client = connect.write("patient")
    proxy.await("INFO Successful connection to #{patient.address}")
    expect(client.write(", and the rest").finish.read_all).to eq "patient:patient, and the rest"
    expect_no_trouble
  end

  it "a half-closed connection stays open as long as the other direction is used" do
    client = connect.write("patient")
    proxy.await("INFO Successful connection to #{patient.address}")
    client.write("x" * 3_000_000).finish
    expect(client.read_all.size).to eq "patient:patient".size + 3_000_000
  end

  it "the backend's FIN is passed on to the client, and the backend still receives the rest" do
    client = connect.write("finishing")
    expect(client.read_all).to eq "goodbye"
    client.write("x" * 3_000_000).finish
    eventually { expect(finishing.session).to be_ended }
    expect(finishing.session.received.size).to eq "finishing".size + 3_000_000
    expect_no_trouble
  end

  it "the backend's FIN is passed on to a client that uploads" do
    client = connect.write("finishing#{"x" * 3_000_000}")
    expect(client.finish.read_all).to eq "goodbye"
    eventually { expect(finishing.session).to be_ended }
    expect(finishing.session.received.size).to eq "finishing".size + 3_000_000
  end

  it "the backend's FIN before its first byte is an error, and the backend still receives the rest" do
    client = connect.write("wordless")
    expect(client.read_all).to eq "sorry"
    expect(proxy.errors).to eq ["ERROR Connection with #{wordless.address} was terminated prematurely."]
    client.write("x" * 3_000_000).finish
    eventually { expect(wordless.session).to be_ended }
    expect(wordless.session.received.size).to eq "wordless".size + 3_000_000
  end

  it "a backend that closed after its last bytes resets a client that sends more" do
    client = connect.write("once")
    expect(client.read_all).to eq "once:once"
    expect { loop { client.write("more") } }.to raise_error(SystemCallError)
  end

  it "the backend's FIN is passed on in one packet with its last bytes if they arrive together" do
    client = relay("parting", "hello")
    size = client.socket.getsockopt(:TCP, :INFO).data.bytesize
    skip "the system tells only #{size} bytes of TCP_INFO" if size < 144
    eventually { expect(tcp_info(client, :tcpi_unacked)).to eq 0 }
    before = tcp_info(client, :tcpi_segs_in)
    partings << true
    expect(client.read_all).to eq "goodbye"
    expect(tcp_info(client, :tcpi_segs_in) - before).to eq 1
  end

  it "the client's close closes the backend's connection" do
    client = relay("greeting", "welcome")
    client.close
    eventually { expect(greeting.session).to be_ended }
    expect_no_trouble
  end

  it "both sockets are closed once both directions have ended", :process_title do
    sockets = proxy.open_sockets
    10.times { connect.write("patient").finish.read_all }
    10.times { relay("greeting", "welcome").close }
    eventually { expect(proxy.open_sockets).to be <= sockets }
    eventually { expect(proxy.connections).to eq 0 }
  end

  it "the client's RST is passed on to the backend behind all that came before" do
    client = relay("echo", "echo")
    client.write("x" * 50_000)
    expect(client.read(50_000).size).to eq 50_000
    client.reset
    eventually { expect(echo.session.failure).to be_a Errno::ECONNRESET }
    expect(echo.session.received.size).to eq 50_004
    expect_no_trouble
  end

  # The client's kernel has handed everything to the proxy's when it resets.
  it "the client's RST in the middle of an upload cannot be taken for its end" do
    client = relay("greeting", "welcome")
    client.write("x" * 3_000_000)
    eventually { expect(unsent(client.socket)).to eq 0 }
    client.reset
    eventually { expect(greeting.session.failure).to be_a Errno::ECONNRESET }
    expect(greeting.session.received.size).to eq "greeting".size + 3_000_000
  end

  it "the backend's RST in the middle of a reply reaches a slow client behind all that came before" do
    client = connect.write("half")
    received = 0
    slowly = lambda do
      received += client.socket.readpartial(20_000).size
      sleep 0.001
    end
    expect { loop(&slowly) }.to raise_error(Errno::ECONNRESET)
    expect(received).to eq 1_000_000
  end

  it "the backend's RST is passed on to the client" do
    client = relay("resetting", "hello")
    client.write("now")
    proxy.await("INFO Successful connection to #{resetting.address}")
    client.write("reset")
    expect(client.received_end).to eq :RST
    expect_no_trouble
  end

  it "an RST with data in flight both ways affects no other connection", :process_title do
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

  it "RSTs before the first byte affect no other connection", :process_title do
    50.times { connect.reset }
    expect_no_trouble
    eventually { expect(proxy.connections).to be <= 1 }
  end
end
