# frozen_string_literal: true

# One example per fault: the backend sends FIN or RST in each phase of its connection.
RSpec.describe "Backend faults:" do
  mebibyte = 1024 * 1024

  running(:proxy) { ScriptedProxy.start }
  check_fault_isolation(:proxy)

  let(:backend) { FaultyBackend.new }
  let(:small) { FaultyBackend.new(receive_buffer: 4096) }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  def joined(client = connect)
    client.write(ScriptedProxy.route_to(backend))
    server = backend.accept
    server.read(ScriptedProxy.route_to(backend).size)
    [client, server]
  end

  # The client sees the backend's end; the backend's failure is logged once, and the callback is called once.
  def expect_premature_end(client, of, manner)
    expect(client.received_end).to eq manner
    expect(proxy.settled_log.scan("connect error with #{of.address}\n").size).to eq 1
    expect_problems(*problems.grep(/\AWARN Retrying/), premature_end_line(of))
  end

  # The relay ends without an error and without a callback.
  def expect_ordinary_end(client, server = nil)
    expect(client.received_end).to eq(:FIN).or eq(:RST)
    expect(server.received_end).to eq(:FIN).or eq(:RST) if server
    expect(callback_called_for?(backend)).to be false
  end

  %i[FIN RST].each do |manner|
    describe manner.to_s do
      it "before the backend reads a byte is reported" do
        client = connect.write(ScriptedProxy.route_to(backend))
        backend.accept.disconnect_by(manner)
        expect_premature_end(client, backend, manner)
      end

      it "after the request is reported" do
        client, server = joined
        server.disconnect_by(manner)
        expect_premature_end(client, backend, manner)
      end

      it "after refused attempts is reported, and not retried" do
        late = FaultyBackend.new(listening: false)
        client = connect.write(ScriptedProxy.route_to(late, retries: 1000))
        proxy.await("WARN Retrying connection with #{late.address} (#2)")
        late.listen
        late.accept.disconnect_by(manner)
        expect_premature_end(client, late, manner)
        expect(late).to be_untouched
      end

      it "during the replay is reported" do
        client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
        server = small.accept
        server.read(1000)
        server.disconnect_by(manner)
        expect_premature_end(client, small, manner)
      end

      it "during the replay, after the backend's first byte, ends the relay without an error" do
        client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
        server = small.accept
        server.write("hello")
        expect(client.read(5)).to eq "hello"
        server.disconnect_by(manner)
        expect_ordinary_end(client)
      end

      it "during the relay ends it without an error" do
        client, server = joined
        server.write("hello")
        expect(client.read(5)).to eq "hello"
        server.disconnect_by(manner)
        expect(client.received_end).to eq manner
        client.close
        expect(server.received_end).to eq :FIN if manner == :FIN
        expect(callback_called_for?(backend)).to be false
      end

      it "after the client's FIN, without a byte from the backend, is not an error" do
        client, server = joined
        client.finish
        expect(server.received_end).to eq :FIN
        server.disconnect_by(manner)
        expect(client.received_end).to eq manner
        eventually { expect(client_drop_logged?).to be true }
        expect(callback_called_for?(backend)).to be false
      end

      it "after the client's FIN and the backend's first byte ends the relay without an error" do
        client, server = joined
        server.write("hello")
        expect(client.finish.read(5)).to eq "hello"
        expect(server.received_end).to eq :FIN
        server.disconnect_by(manner)
        expect_ordinary_end(client)
      end

      it "while the client does not read ends the relay without an error" do
        client, server = joined
        expect(server.fill).to be_positive
        server.disconnect_by(manner)
        expect_ordinary_end(client)
      end

      it "while the backend does not read ends the relay without an error" do
        client, server = joined
        server.write("hello")
        expect(client.fill).to be_positive
        server.disconnect_by(manner)
        expect_ordinary_end(client)
      end
    end
  end

  describe "RST" do
    it "from the backlog, before accept, is reported" do
      client = connect.write(ScriptedProxy.route_to(backend))
      backend.await_connection
      proxy.await("INFO Successful connection to #{backend.address}")
      backend.stop
      expect_premature_end(client, backend, :RST)
    end

    it "at the same time as the client's RST ends the relay" do
      client, server = joined
      server.write("hello")
      expect(client.read(5)).to eq "hello"
      [server, client].each(&:reset)
    end

    it "during large transfers both ways ends the relay" do
      client, server = joined
      [client, server].map { |peer| Thread.new { peer.fill } }.each(&:join)
      server.reset
      expect_ordinary_end(client)
    end
  end

  it "FIN after a long reply delivers the whole reply" do
    client, server = joined
    sending = Thread.new { server.write("r" * 8 * mebibyte).finish }
    expect(client.read_all.size).to eq 8 * mebibyte
    sending.join
  end
end
