# frozen_string_literal: true

# One example a fault: the client ends its side (FIN) or resets the connection (RST) in each phase of its life.
RSpec.describe "A client's" do
  mebibyte = 1024 * 1024

  running(:black_hole) { Backends.black_hole }
  running(:proxy) { Puppet.start }
  unharmed(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  # A client whose backend has its request and has not answered.
  def joined(**options)
    client = connect.write(Puppet.to(backend, **options))
    server = backend.accept
    server.read(Puppet.to(backend, **options).size)
    [client, server]
  end

  describe "FIN" do
    it "before the first byte closes it, and the block is not asked" do
      client = connect.finish
      expect(client.heard).to eq :FIN
      expect(proxy.settled_log).not_to include " #{client.address} "
    end

    it "between two calls of the block closes it" do
      client = connect.write("no line yet")
      proxy.await(answer_line(client, { noop: true }))
      expect(client.finish.heard).to eq :FIN
    end

    it "in the block lets it have its reply" do
      client = connect.write("puts 'in the block'; sleep 0.3; #{Puppet.to(backend)}")
      eventually { proxy.recent_log.include?("in the block\n") }
      client.finish
      server = backend.accept
      expect(server.read_all).to end_with Puppet.to(backend)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "while its last words are sent lets it have them all" do
      client = connect.write("{ :close => 'w' * #{8 * mebibyte} }\n")
      proxy.await(/\AINFO #{client.address} /)
      expect(client.finish.read_all.size).to eq 8 * mebibyte
    end

    it "while connecting makes no error of a backend that cannot be reached" do
      client = connect.write(Puppet.to(black_hole, connect_timeout: 0.05)).finish
      expect(client.heard).to eq :FIN
      expect(dropped?).to be true
      expect(reported?(black_hole)).to be false
      expect_trouble(*retries(black_hole, 1..10))
    end

    it "between two attempts lets it have its reply" do
      late = FaultyBackend.new(listening: false)
      client = connect.write(Puppet.to(late))
      proxy.await("WARN Retrying connection with #{late.address} (#1)")
      client.finish
      late.listen
      server = late.accept
      expect(server.read_all).to eq Puppet.to(late)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
      @expected_trouble = trouble
      expect(@expected_trouble).to eq retries(late, 1..@expected_trouble.size)
    end

    it "while replaying follows the whole of the replay" do
      small = FaultyBackend.new(receive_buffer: 4096)
      client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
      server = small.accept
      client.finish
      expect(server.read_all).to eq "d" * (8 * mebibyte)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "while relaying reaches the backend, and the reply the client" do
      client, server = joined
      client.write("more").finish
      expect(server.read_all).to eq "more"
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "while it is slow to read lets it have all that the backend had sent" do
      client, server = joined
      server.write("r" * mebibyte).finish
      expect(client.finish.read_all.size).to eq mebibyte
      expect(server.heard).to eq :FIN
    end
  end

  describe "RST" do
    it "before the first byte ends it, and the block is not asked" do
      client = connect
      proxy.await("INFO Accepted #{client.address}")
      address = client.address
      client.reset
      expect(proxy.settled_log).not_to include " #{address} "
    end

    it "between two calls of the block ends it" do
      client = connect.write("no line yet")
      proxy.await(answer_line(client, { noop: true }))
      client.reset
    end

    it "in the block makes the answer void" do
      client = connect.write("puts 'in the block'; sleep 0.3; puts 'done'; #{Puppet.to(backend)}")
      eventually { proxy.recent_log.include?("in the block\n") }
      client.reset
      eventually { proxy.recent_log.include?("done\n") }
      expect(proxy.settled_log).not_to include "Establishing"
      expect(backend).to be_untouched
    end

    it "while its last words are sent ends it" do
      client = connect.write("{ :close => 'w' * #{8 * mebibyte} }\n")
      expect(client.read(1)).to eq "w"
      client.reset
    end

    it "while it gets a reply before the backend is tried ends both" do
      client = connect.write(Puppet.to(black_hole, reply: "r"))
      expect(client.read(1)).to eq "r"
      client.reset
      eventually { expect(dropped?).to be true }
    end

    it "while connecting ends the attempt" do
      client = connect.write(Puppet.to(black_hole))
      proxy.await("INFO Establishing new connection with #{black_hole.address}")
      client.reset
      eventually { expect(dropped?).to be true }
      expect(reported?(black_hole)).to be false
    end

    it "between two attempts ends them, and nothing is sent to the backend" do
      late = FaultyBackend.new(listening: false)
      client = connect.write(Puppet.to(late))
      proxy.await("WARN Retrying connection with #{late.address} (#1)")
      client.reset
      eventually { expect(dropped?).to be true }
      late.listen
      @expected_trouble = trouble
      expect(@expected_trouble).to eq retries(late, 1..@expected_trouble.size)
      expect(late).to be_untouched
      expect(reported?(late)).to be false
    end

    it "while replaying ends the backend's connection" do
      small = FaultyBackend.new(receive_buffer: 4096)
      client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
      server = small.accept
      client.reset
      expect(server.heard).to eq(:FIN).or eq(:RST)
      expect(reported?(small)).to be false
    end

    it "while relaying ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.read(5)).to eq "hello"
      client.reset
      expect(server.heard).to eq(:FIN).or eq(:RST)
    end

    it "while waiting for the first byte of the backend is no error of the backend" do
      client, server = joined(inactivity_timeout: 20)
      client.reset
      expect(server.heard).to eq(:FIN).or eq(:RST)
      eventually { expect(dropped?).to be true }
      expect(reported?(backend)).to be false
    end

    it "half-closed, after its own FIN, ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.finish.read(5)).to eq "hello"
      expect(server.heard).to eq :FIN # the client's, passed on
      client.reset
      eventually { expect { server.write("x") }.to raise_error(SystemCallError) }
    end

    it "while it does not read, and the backend sends, ends the backend's connection" do
      client, server = joined
      expect(server.fill).to be_positive
      client.reset
      expect(server.heard).to eq(:FIN).or eq(:RST)
    end

    it "while it sends, and the backend does not read, ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.fill).to be_positive
      client.reset
      expect(server.heard).to eq(:FIN).or eq(:RST)
    end
  end
end
