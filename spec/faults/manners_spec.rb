# frozen_string_literal: true

# One example a fault: peers that refuse, are silent, speak first, are slow, or stop.
RSpec.describe "A server" do
  mebibyte = 1024 * 1024

  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:proxy) { Puppet.start }
  unharmed(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  def joined(**options)
    client = connect.write(Puppet.to(backend, **options))
    server = backend.accept
    server.read(Puppet.to(backend, **options).size)
    [client, server]
  end

  def failed(backend)
    [*retries(backend, 1..10), "ERROR Connect #{backend.address} failed after ten attempts."]
  end

  describe "whose backend" do
    it "refuses gives up after eleven attempts, and reports it" do
      expect(connect.write(Puppet.to(refused)).heard).to eq :FIN
      expect_trouble(*failed(refused))
      expect(reported?(refused)).to be true
    end

    it "is a black hole gives up after eleven timeouts, and reports it" do
      expect(connect.write(Puppet.to(black_hole, connect_timeout: 0.05)).heard).to eq :FIN
      expect_trouble(*failed(black_hole))
      expect(reported?(black_hole)).to be true
    end

    it "accepts late has sent the request already, and passes the reply on" do
      client = connect.write(Puppet.to(backend))
      backend.await_connection
      expect(client).to be_quiet
      server = backend.accept
      expect(server.read(Puppet.to(backend).size)).to eq Puppet.to(backend)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "is silent ends the connection after :inactivity_timeout, and reports it" do
      client, server = joined(inactivity_timeout: 0.3)
      expect(client.heard).to eq :FIN
      expect(server.heard).to eq(:FIN).or eq(:RST)
      line = eventually { trouble.first }
      expect(line).to match(/\AERROR Disconnecting #{backend.address} after \d+\.\d+s of inactivity \(> 0\.3\)\z/)
      expect_trouble(line)
      expect(reported?(backend)).to be true
    end

    it "is silent, for a client that is silent, too, keeps the connection" do
      client, server = joined
      expect([client, server]).to all(be_quiet)
      server.write("at last")
      expect(client.read(7)).to eq "at last"
    end

    it "falls silent after its first byte ends the connection after :inactivity_timeout, quietly" do
      client, server = joined(inactivity_timeout: 0.3)
      server.write("hello")
      expect(client.read_all).to eq "hello"
      expect(reported?(backend)).to be false
    end

    it "speaks first passes that on before anything was sent to it" do
      client = connect.write(Puppet.to(backend, data: ""))
      server = backend.accept.write("220 welcome\r\n")
      expect(client.read(13)).to eq "220 welcome\r\n"
      expect(server).to be_quiet
      expect(server.read(5)).to eq "HELO\n" if client.write("HELO\n")
    end

    it "speaks first and ends its side at once passes on all of it" do
      client = connect.write(Puppet.to(backend, data: ""))
      backend.accept.write("welcome, and goodbye").finish
      expect(client.read_all).to eq "welcome, and goodbye"
    end

    it "answers byte by byte passes each on as it comes" do
      client, server = joined
      "slowly".each_char do |byte|
        server.write(byte)
        expect(client.read(1)).to eq byte
      end
    end

    it "reads byte by byte has everything in the end, in order" do
      slow = FaultyBackend.new(receive_buffer: 4096)
      data = Bulk.bytes(mebibyte)
      client = connect.write(Puppet.to(slow, data: ""))
      server = slow.accept
      sending = Thread.new { client.write(data).finish }
      first = Array.new(1000) { server.read(1) }.join
      expect(Bulk.digest(first + server.read_all)).to eq Bulk.digest(data)
      sending.join
    end

    it "stops reading takes no more from its client, and goes on where it stopped" do
      client, server = joined
      sent = client.fill
      client.finish
      expect(server.read_all.size).to eq sent
    end
  end

  describe "whose client" do
    it "is silent keeps it, and the block is not asked" do
      client = connect
      proxy.await("INFO Accepted #{client.address}")
      expect(client).to be_quiet
      expect(proxy.settled_log).not_to include " #{client.address} "
    end

    it "sends its request byte by byte asks the block for each, and routes it" do
      request = Puppet.to(backend)
      client = connect.drip(request)
      server = backend.accept
      expect(server.read(request.size)).to eq request
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "sends everything byte by byte passes each on as it comes" do
      client, server = joined
      server.write("!")
      "slowly".each_char do |byte|
        client.write(byte)
        expect(server.read(1)).to eq byte
      end
    end

    it "reads byte by byte gives it all in the end, in order" do
      client, server = joined
      data = Bulk.bytes(mebibyte)
      sending = Thread.new { server.write(data).close }
      first = Array.new(1000) { client.read(1) }.join
      expect(Bulk.digest(first + client.read_all)).to eq Bulk.digest(data)
      sending.join
    end

    it "stops reading takes no more from its backend, and goes on where it stopped" do
      client, server = joined
      sent = server.fill
      server.finish
      expect(client.read_all.size).to eq sent
    end
  end
end
