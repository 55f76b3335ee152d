# frozen_string_literal: true

# One example a fault: the backend ends its side (FIN) or resets the connection (RST) in each phase where there is one.
RSpec.describe "A backend that sends" do
  mebibyte = 1024 * 1024

  running(:proxy) { Puppet.start }
  unharmed(:proxy)

  let(:backend) { FaultyBackend.new }
  let(:small) { FaultyBackend.new(receive_buffer: 4096) }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  def joined(client = connect)
    client.write(Puppet.to(backend))
    server = backend.accept
    server.read(Puppet.to(backend).size)
    [client, server]
  end

  # The client was told nothing and closed; the backend's fault is logged and reported once.
  def expect_premature_end(client, of)
    expect(client.read_all).to eq ""
    expect(proxy.settled_log.scan("connect error with #{of.address}\n").size).to eq 1
    expect_trouble(*trouble.grep(/\AWARN Retrying/), premature(of))
  end

  # The relay ended like any other: nobody is told.
  def expect_ordinary_end(client, server = nil)
    expect(client.heard).to eq(:FIN).or eq(:RST)
    expect(server.heard).to eq(:FIN).or eq(:RST) if server
    expect(reported?(backend)).to be false
  end

  %i[FIN RST].each do |manner|
    describe manner.to_s do
      it "before it has read a byte is reported" do
        client = connect.write(Puppet.to(backend))
        backend.accept.leave_by(manner)
        expect_premature_end(client, backend)
      end

      it "after the request is reported" do
        client, server = joined
        server.leave_by(manner)
        expect_premature_end(client, backend)
      end

      it "after it had refused some attempts is reported, and not tried again" do
        late = FaultyBackend.new(listening: false)
        client = connect.write(Puppet.to(late))
        proxy.await("WARN Retrying connection with #{late.address} (#2)")
        late.listen
        late.accept.leave_by(manner)
        expect_premature_end(client, late)
        expect(late).to be_untouched
      end

      it "in the middle of the replay is reported" do
        client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
        server = small.accept
        server.read(1000)
        server.leave_by(manner)
        expect_premature_end(client, small)
      end

      it "in the middle of the replay, after its first byte, is an end like any other" do
        client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
        server = small.accept
        server.write("hello")
        expect(client.read(5)).to eq "hello"
        server.leave_by(manner)
        expect_ordinary_end(client)
      end

      it "while relaying is an end like any other" do
        client, server = joined
        server.write("hello")
        expect(client.read(5)).to eq "hello"
        server.leave_by(manner)
        expect_ordinary_end(client, (server if manner == :FIN))
      end

      it "to a client that has ended its side, without a byte, is nobody's error" do
        client, server = joined
        client.finish
        expect(server.heard).to eq :FIN
        server.leave_by(manner)
        expect(client.read_all).to eq ""
        eventually { expect(dropped?).to be true }
        expect(reported?(backend)).to be false
      end

      it "to a client that has ended its side, after its first byte, is an end like any other" do
        client, server = joined
        server.write("hello")
        expect(client.finish.read(5)).to eq "hello"
        expect(server.heard).to eq :FIN
        server.leave_by(manner)
        expect_ordinary_end(client)
      end

      it "while its client does not read is an end like any other" do
        client, server = joined
        expect(server.fill).to be_positive
        server.leave_by(manner)
        expect_ordinary_end(client)
      end

      it "while it does not read what its client sends is an end like any other" do
        client, server = joined
        server.write("hello")
        expect(client.fill).to be_positive
        server.leave_by(manner)
        expect_ordinary_end(client)
      end
    end
  end

  describe "RST" do
    it "from its backlog, before it accepts, is reported" do
      client = connect.write(Puppet.to(backend))
      backend.await_connection
      proxy.await("INFO Successful connection to #{backend.address}")
      backend.stop
      expect_premature_end(client, backend)
    end

    it "while the client sends one, too, ends the relay" do
      client, server = joined
      server.write("hello")
      expect(client.read(5)).to eq "hello"
      [server, client].each(&:reset)
    end

    it "in the midst of bulk both ways ends the relay" do
      client, server = joined
      [client, server].map { |peer| Thread.new { peer.fill } }.each(&:join)
      server.reset
      expect_ordinary_end(client)
    end
  end

  it "its FIN after a long reply has delivered all of it" do
    client, server = joined
    sending = Thread.new { server.write("r" * 8 * mebibyte).finish }
    expect(client.read_all.size).to eq 8 * mebibyte
    sending.join
  end
end
