# frozen_string_literal: true

# One example per fault: the client sends FIN or RST in each phase of its connection.
RSpec.describe "Client faults:" do
  mebibyte = 1024 * 1024

  running(:black_hole) { Backends.black_hole }
  running(:proxy) { ScriptedProxy.start("LEFT = LOG_FILE") }
  check_fault_isolation(:proxy)

  let(:backend) { FaultyBackend.new }

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  # Returns a client whose backend has received the request and not replied.
  def joined(**options)
    client = connect.write(ScriptedProxy.route_to(backend, **options))
    server = backend.accept
    server.read(ScriptedProxy.route_to(backend, **options).size)
    [client, server]
  end

  describe "FIN" do
    it "before the first byte closes the connection without a call of the block" do
      client = connect.finish
      expect(client.received_end).to eq :FIN
      expect(proxy.settled_log).not_to include " #{client.address} "
    end

    it "between two calls of the block closes the connection" do
      client = connect.write("no line yet")
      proxy.await(answer_log_line(client, { noop: true }))
      expect(client.finish.received_end).to eq :FIN
    end

    it "during the block does not prevent the reply" do
      client = connect.write("puts 'in the block'; sleep 0.3; #{ScriptedProxy.route_to(backend)}")
      eventually { proxy.recent_log.include?("in the block\n") }
      client.finish
      server = backend.accept
      expect(server.read_all).to end_with ScriptedProxy.route_to(backend)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "while a :close text is sent does not prevent its delivery" do
      client = connect.write("{ :close => 'w' * #{8 * mebibyte} }\n")
      proxy.await(/\AINFO #{client.address} /)
      expect(client.finish.read_all.size).to eq 8 * mebibyte
    end

    it "during the dial makes an unreachable backend no error" do
      client = connect.write(ScriptedProxy.route_to(black_hole, connect_timeout: 0.05)).finish
      expect(client.received_end).to eq :FIN
      expect(client_drop_logged?).to be true
      expect(callback_called_for?(black_hole)).to be false
      expect_problems(*retry_lines(black_hole, 1..10))
    end

    it "between two attempts does not prevent the reply" do
      late = FaultyBackend.new(listening: false)
      request = ScriptedProxy.route_to(late, retries: 1000)
      client = connect.write(request)
      proxy.await("WARN Retrying connection with #{late.address} (#1)")
      client.finish
      late.listen
      server = late.accept
      expect(server.read_all).to eq request
      server.write("reply").close
      expect(client.read_all).to eq "reply"
      @expected_problems = problems
      expect(@expected_problems).to eq retry_lines(late, 1..@expected_problems.size)
    end

    it "during the replay is passed on after the replay" do
      small = FaultyBackend.new(receive_buffer: 4096)
      client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
      server = small.accept
      client.finish
      expect(server.read_all).to eq "d" * (8 * mebibyte)
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "during the relay is passed on, and the reply reaches the client" do
      client, server = joined
      client.write("more").finish
      expect(server.read_all).to eq "more"
      server.write("reply").close
      expect(client.read_all).to eq "reply"
    end

    it "from a slow reader does not prevent the delivery of all data" do
      client, server = joined
      server.write("r" * mebibyte).finish
      expect(client.finish.read_all.size).to eq mebibyte
      expect(server.received_end).to eq :FIN
    end
  end

  describe "RST" do
    it "before the first byte ends the connection without a call of the block" do
      client = connect
      proxy.await("INFO Accepted #{client.address}")
      address = client.address
      client.reset
      expect(proxy.settled_log).not_to include " #{address} "
    end

    it "between two calls of the block ends the connection" do
      client = connect.write("no line yet")
      proxy.await(answer_log_line(client, { noop: true }))
      client.reset
    end

    it "during the block cancels the answer" do
      waiting = "puts 'in the block'; sleep 0.01 until File.exist?(LEFT); puts 'done'"
      client = connect.write("#{waiting}; #{ScriptedProxy.route_to(backend)}")
      eventually { proxy.recent_log.include?("in the block\n") }
      client.reset
      leak_check.await_only_long_lived
      File.write(File.join(proxy.dir, "log"), "")
      eventually { proxy.recent_log.include?("done\n") }
      expect(proxy.settled_log).not_to include "Establishing"
      expect(backend).to be_untouched
    end

    it "while a :close text is sent ends the connection" do
      client = connect.write("{ :close => 'w' * #{8 * mebibyte} }\n")
      expect(client.read(1)).to eq "w"
      client.reset
    end

    it "while a :reply is sent ends the connection and the dial" do
      client = connect.write(ScriptedProxy.route_to(black_hole, reply: "r"))
      expect(client.read(1)).to eq "r"
      client.reset
      eventually { expect(client_drop_logged?).to be true }
    end

    it "during the dial ends the attempt" do
      client = connect.write(ScriptedProxy.route_to(black_hole))
      proxy.await("INFO Establishing new connection with #{black_hole.address}")
      client.reset
      eventually { expect(client_drop_logged?).to be true }
      expect(callback_called_for?(black_hole)).to be false
    end

    it "between two attempts ends the dial, and sends nothing to the backend" do
      late = FaultyBackend.new(listening: false)
      client = connect.write(ScriptedProxy.route_to(late, retries: 1000))
      proxy.await("WARN Retrying connection with #{late.address} (#1)")
      client.reset
      eventually { expect(client_drop_logged?).to be true }
      late.listen
      @expected_problems = problems
      expect(@expected_problems).to eq retry_lines(late, 1..@expected_problems.size)
      expect(late).to be_untouched
      expect(callback_called_for?(late)).to be false
    end

    it "during the replay ends the backend's connection" do
      small = FaultyBackend.new(receive_buffer: 4096)
      client = connect.write("{ :remote => '#{small.address}', :data => 'd' * #{8 * mebibyte} }\n")
      server = small.accept
      client.reset
      expect(server.received_end).to eq :RST
      expect(callback_called_for?(small)).to be false
    end

    it "during the relay ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.read(5)).to eq "hello"
      client.reset
      expect(server.received_end).to eq :RST
    end

    it "before the backend's first byte is not an error of the backend" do
      client, server = joined(inactivity_timeout: 20)
      client.reset
      expect(server.received_end).to eq :RST
      eventually { expect(client_drop_logged?).to be true }
      expect(callback_called_for?(backend)).to be false
    end

    it "after the client's own FIN ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.finish.read(5)).to eq "hello"
      expect(server.received_end).to eq :FIN # the client's, passed on
      client.reset
      eventually { expect { server.write("x") }.to raise_error(SystemCallError) }
    end

    it "while the client does not read ends the backend's connection" do
      client, server = joined
      expect(server.fill).to be_positive
      client.reset
      expect(server.received_end).to eq :RST
    end

    it "while the backend does not read ends the backend's connection" do
      client, server = joined
      server.write("hello")
      expect(client.fill).to be_positive
      client.reset
      expect(server.received_end).to eq :RST
    end
  end
end
