# frozen_string_literal: true

# One example per fault: peers that refuse, are silent, send first, are slow or stop reading.
RSpec.describe "Slow and silent peers:" do
  mebibyte = 1024 * 1024

  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:proxy) { ScriptedProxy.start }
  check_fault_isolation(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  def joined(**options)
    client = connect.write(ScriptedProxy.route_to(backend, **options))
    server = backend.accept
    server.read(ScriptedProxy.route_to(backend, **options).size)
    [client, server]
  end

  def failed(backend)
    [*retry_lines(backend, 1..10), "ERROR Connect #{backend.address} failed after ten attempts."]
  end

  describe "a backend that" do
    it "refuses is reported after eleven attempts" do
      expect(connect.write(ScriptedProxy.route_to(refused)).received_end).to eq :FIN
      expect_problems(*failed(refused))
      expect(callback_called_for?(refused)).to be true
    end

    it "neither accepts nor refuses is reported after eleven timeouts" do
      expect(connect.write(ScriptedProxy.route_to(black_hole, connect_timeout: 0.05)).received_end).to eq :FIN
      expect_problems(*failed(black_hole))
      expect(callback_called_for?(black_hole)).to be true
    end

    it "accepts late finds the request sent, and its reply is relayed" do
      client = connect.write(ScriptedProxy.route_to(backend))
      backend.await_connection
      expect(client).to be_quiet
      server = backend.accept
      expect(server.read(ScriptedProxy.route_to(backend).size)).to eq ScriptedProxy.route_to(backend)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "is silent is reported after :inactivity_timeout" do
      client, server = joined(inactivity_timeout: 0.3)
      expect(client.received_end).to eq :FIN
      expect(server.received_end).to eq(:FIN).or eq(:RST)
      line = eventually { problems.first }
      expect(line).to match(/\AERROR Disconnecting #{backend.address} after \d+\.\d+s of inactivity \(> 0\.3\)\z/)
      expect_problems(line)
      expect(callback_called_for?(backend)).to be true
    end

    it "is silent, like its client, keeps the connection" do
      client, server = joined
      expect([client, server]).to all(be_quiet)
      server.write("at last")
      expect(client.read(7)).to eq "at last"
    end

    it "falls silent after its first byte is closed after :inactivity_timeout without a report" do
      client, server = joined(inactivity_timeout: 3)
      server.write("hello")
      expect(client.read_all).to eq "hello"
      expect(callback_called_for?(backend)).to be false
    end

    it "sends first is relayed before it receives data" do
      client = connect.write(ScriptedProxy.route_to(backend, data: ""))
      server = backend.accept.write("220 welcome\r\n")
      expect(client.read(13)).to eq "220 welcome\r\n"
      expect(server).to be_quiet
      expect(server.read(5)).to eq "HELO\n" if client.write("HELO\n")
    end

    it "sends first and half-closes at once is relayed completely" do
      client = connect.write(ScriptedProxy.route_to(backend, data: ""))
      backend.accept.write("welcome, and goodbye").finish
      expect(client.read_all).to eq "welcome, and goodbye"
    end

    it "replies byte by byte is relayed byte by byte" do
      client, server = joined
      "slowly".each_char do |byte|
        server.write(byte)
        expect(client.read(1)).to eq byte
      end
    end

    it "reads byte by byte receives all data in order" do
      slow = FaultyBackend.new(receive_buffer: 4096)
      data = Payload.bytes(mebibyte)
      client = connect.write(ScriptedProxy.route_to(slow, data: ""))
      server = slow.accept
      sending = Thread.new { client.write(data).finish }
      first = Array.new(1000) { server.read(1) }.join
      expect(Payload.digest(first + server.read_all)).to eq Payload.digest(data)
      sending.join
    end

    it "stops reading stops its client, and continues where it stopped" do
      client, server = joined
      sent = client.fill
      client.finish
      expect(server.read_all.size).to eq sent
    end
  end

  describe "a client that" do
    it "is silent keeps its connection, and the block is not called" do
      client = connect
      proxy.await("INFO Accepted #{client.address}")
      expect(client).to be_quiet
      expect(proxy.settled_log).not_to include " #{client.address} "
    end

    it "sends its request byte by byte is routed, with a call of the block per byte" do
      request = ScriptedProxy.route_to(backend)
      client = connect.drip(request)
      server = backend.accept
      expect(server.read(request.size)).to eq request
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "sends data byte by byte is relayed byte by byte" do
      client, server = joined
      server.write("!")
      "slowly".each_char do |byte|
        client.write(byte)
        expect(server.read(1)).to eq byte
      end
    end

    it "reads byte by byte receives all data in order" do
      client, server = joined
      data = Payload.bytes(mebibyte)
      sending = Thread.new { server.write(data).close }
      first = Array.new(1000) { client.read(1) }.join
      expect(Payload.digest(first + client.read_all)).to eq Payload.digest(data)
      sending.join
    end

    it "stops reading stops its backend, and continues where it stopped" do
      client, server = joined
      sent = server.fill
      server.finish
      expect(client.read_all.size).to eq sent
    end
  end
end
