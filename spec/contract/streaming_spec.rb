# frozen_string_literal: true

# CONTRACT 5: what the relay does with bytes.
RSpec.describe "A relay" do
  mebibyte = 1024 * 1024

  running(:echo) { Backends.echo }
  running(:digesting) do
    # Takes a payload whose length is the first line, and answers with its digest.
    Backend.new do |session|
      session.read until session.received.include?("\n")
      head, = session.received.split("\n", 2)
      session.read_until(head.to_i + head.size + 1)
      session.write(Bulk.digest(session.received[(head.size + 1)..]))
    end
  end
  running(:serving) do
    Backend.new { |session| session.write(Bulk.bytes(session.read.split(":").last.to_i)) }
  end
  running(:endless) do
    Backend.new do |session|
      block = "x" * 65_536
      loop { session.write(block) }
    end
  end
  running(:deaf) { Backends.deaf }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "echo" => #{echo.address.inspect}, "serve" => #{serving.address.inspect},
        "endless" => #{endless.address.inspect}, "deaf" => #{deaf.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data[/\\A[a-z]+(?=:)/], #{digesting.address.inspect}) } }
    RUBY
  end

  it "passes small messages on at once, both ways" do
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

  it "passes 20 MB from the client on intact" do
    data = Bulk.bytes(20 * mebibyte)
    expect(connect.write("#{data.size}\n").write(data).read_all).to eq Bulk.digest(data)
  end

  it "passes 20 MB from the server on intact, all of it before it closes the client" do
    expect(Bulk.digest(ask("serve:#{20 * mebibyte}"))).to eq Bulk.digest(Bulk.bytes(20 * mebibyte))
  end

  it "lets a slow reader have everything, too" do
    client = connect.write("serve:#{mebibyte}")
    eventually { expect(serving.session).to be_ended.or(have_attributes(socket: be_closed)) }
    expect(client.read_all).to eq Bulk.bytes(mebibyte)
  end

  # The number of bytes that the block had taken when it took no more.
  def stalled_at
    last = nil
    eventually do
      sleep 0.2 # no more progress in this time is what "stalled" means here
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

  it "stops a server whose client does not read, in bounded memory, and goes on when it does" do
    ask("serve:1000")
    before = proxy.resident_bytes
    clients = Array.new(2) { connect.write("endless:") }
    sent = stalled_at { endless.sessions.sum(&:sent) }
    expect(sent).to be < clients.size * 64 * mebibyte # most of it in the kernel's buffers
    expect(proxy.resident_bytes - before).to be < 24 * mebibyte
    expect(clients.first.read(32 * mebibyte).size).to eq 32 * mebibyte
    expect(proxy.resident_bytes - before).to be < 24 * mebibyte
  end

  it "stops a client whose server does not read, in bounded memory" do
    client = connect.write("deaf:")
    proxy.await("INFO Successful connection to #{deaf.address}")
    before = proxy.resident_bytes
    sent = 0
    stalled_at { sent += write_what_fits(client) }
    expect(sent).to be < 64 * mebibyte
    expect(proxy.resident_bytes - before).to be < 16 * mebibyte
  end
end
