# frozen_string_literal: true

# CONTRACT 5: the relay of bytes.
RSpec.describe "Relay:" do
  mebibyte = 1024 * 1024

  running(:echo) { Backends.echo }
  running(:digesting) do
    # Reads a payload whose length is the first line, and replies with its digest.
    Backend.new do |session|
      session.read until session.received.include?("\n")
      head, = session.received.split("\n", 2)
      session.read_until(head.to_i + head.size + 1)
      session.write(Payload.digest(session.received[(head.size + 1)..]))
    end
  end
  running(:serving) do
    Backend.new { |session| session.write(Payload.bytes(session.read.split(":").last.to_i)) }
  end
  running(:endless) do
    Backend.new do |session|
      block = "x" * 65_536
      loop { session.write(block) }
    end
  end
  running(:deaf) { Backends.stalled }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "echo" => #{echo.address.inspect}, "serve" => #{serving.address.inspect},
        "endless" => #{endless.address.inspect}, "deaf" => #{deaf.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data[/\\A[a-z]+(?=:)/], #{digesting.address.inspect}) } }
    RUBY
  end

  it "forwards small messages at once, both ways" do
    client = connect.write("echo:")
    expect(client.read(5)).to eq "echo:"
    100.times do |round|
      message = "message #{round}"
      expect(client.write(message).read(message.size)).to eq message
    end
  end

  it "sets TCP_NODELAY on both sides" do
    client = connect.write("echo:")
    client.read(5)
    options = []
    begin
      ForeignSockets.each_connected(proxy.pid) do |socket|
        options << socket.getsockopt(:TCP, :NODELAY).bool if [client.socket.local_address.ip_port, echo.port]
                                                             .include?(socket.remote_address.ip_port)
      end
    rescue Errno::EPERM, Errno::ENOSYS
      skip "the system does not let one process look at another's sockets"
    end
    expect(options).to eq [true, true]
  end

  it "forwards 20 MB from the client intact" do
    data = Payload.bytes(20 * mebibyte)
    expect(connect.write("#{data.size}\n").write(data).read_all).to eq Payload.digest(data)
  end

  it "forwards 20 MB from the backend intact before it closes the client" do
    expect(Payload.digest(ask("serve:#{20 * mebibyte}"))).to eq Payload.digest(Payload.bytes(20 * mebibyte))
  end

  it "delivers all bytes to a slow reader" do
    client = connect.write("serve:#{mebibyte}")
    eventually { expect(serving.session).to be_ended.or(have_attributes(socket: be_closed)) }
    expect(client.read_all).to eq Payload.bytes(mebibyte)
  end

  # Returns the number of bytes that the block had written when it stalled.
  def stalled_at
    last = nil
    eventually do
      sleep 0.2 # "stalled" means no progress in this time
      now = yield
      (now == last) && now.positive? ? now : (last = now) && nil
    end
  end

  def write_what_fits(client)
    sent = 0
    while (written = client.socket.write_nonblock("x" * 65_536, exception: false)) != :wait_writable
      sent += written
    end
    sent
  end

  it "stops reading from a backend whose client does not read, in bounded memory, and resumes later" do
    ask("serve:1000")
    before = proxy.resident_bytes
    clients = Array.new(2) { connect.write("endless:") }
    sent = stalled_at { endless.sessions.sum(&:sent) }
    expect(sent).to be < clients.size * 64 * mebibyte # most of it in the kernel's buffers
    expect(proxy.resident_bytes - before).to be < 24 * mebibyte
    expect(clients.first.read(32 * mebibyte).size).to eq 32 * mebibyte
    expect(proxy.resident_bytes - before).to be < 24 * mebibyte
  end

  it "stops reading from a client whose backend does not read, in bounded memory" do
    client = connect.write("deaf:")
    proxy.await("INFO Successful connection to #{deaf.address}")
    before = proxy.resident_bytes
    sent = 0
    stalled_at { sent += write_what_fits(client) }
    expect(sent).to be < 64 * mebibyte
    expect(proxy.resident_bytes - before).to be < 16 * mebibyte
  end
end
