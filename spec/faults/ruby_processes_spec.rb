# frozen_string_literal: true

# Blocks that create processes. Programs that fork or become a daemon before `run` are in
# spec/contract/embedding_spec.rb.
RSpec.describe "Child processes of a block:" do
  running(:echo) { Backends.echo }

  describe "spawn and fork" do
    running(:proxy) { ScriptedProxy.start }
    check_fault_isolation(:proxy)

    {
      "and waits for its output" => ["{ :close => `echo from a shell` }", "from a shell\n"],
      "and waits for its status" => ["system('exit 3'); { :close => $?.exitstatus.to_s }", "3"],
      "with a pipe to it" => ["{ :close => IO.popen('cat', 'r+') { |io| io << 'p'; io.close_write; io.read } }", "p"],
      "by spawn" => ["Process.wait(spawn('true')); { :close => $?.success?.to_s }", "true"],
      "by fork, which exits in its block" => ["Process.wait(fork { exit 4 }); { :close => $?.exitstatus.to_s }", "4"],
      "by fork, which exits! in its block" => ["Process.wait(fork { exit! 5 }); { :close => $?.exitstatus.to_s }", "5"],
      "by fork, which returns from its block" => ["Process.wait(fork { 1 }); { :close => $?.success?.to_s }", "true"],
      "by fork, which executes" => ["Process.wait(fork { exec 'exit 6' }); { :close => $?.exitstatus.to_s }", "6"],
      "by fork, which is killed" => ["Process.wait(fork { Process.kill(9, $$) }); { :close => $?.termsig.to_s }", "9"],
      "by fork, which collects and ends" => ["Process.wait(fork { GC.start }); { :close => $?.success?.to_s }", "true"]
    }.each do |what, (source, received)|
      it "#{what}: the block answers" do
        expect(ask("#{source}\n")).to eq received
      end
    end

    # The child has copies of all sockets.
    it "a child that lives on does not keep connections open" do
      relay = connect.write(ScriptedProxy.route_to(echo))
      expect(relay.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
      child = ask("child = fork { sleep }; { :close => child.to_s }\n").to_i
      expect(ask("{ :close => 'closed' }\n")).to eq "closed"
      expect(relay.write("still there?").read(12)).to eq "still there?"
      expect(relay.finish.read_all).to eq ""
    ensure
      ask("Process.kill(:KILL, #{child}); Process.wait(#{child}); { :close => true }\n")
    end

    it "a child that lives on is not a server: a signal ends only the child" do
      begun = "reader, writer = IO.pipe; child = fork { writer.puts; sleep }; reader.gets"
      child = ask("#{begun}; { :close => child.to_s }\n").to_i
      Process.kill("TERM", child)
      expect(ask("Process.wait(#{child}); { :close => $?.termsig.to_s }\n")).to eq "15"
    end
  end

  # A child that exits regularly runs the finalizers of its copies.
  describe "a child that exits" do
    directory = Dir.mktmpdir("proxymachine-sockets")
    sockets = %w[listener admin].to_h { |name| [name, File.join(directory, name)] }
    after(:context) { FileUtils.rm_rf(directory) }

    [[], ["--workers", "2"]].each do |arguments|
      it "does not close the server's sockets#{" with workers" if arguments.any?}" do
        config = "#{ScriptedProxy::CONFIG}listen 'unix:#{sockets["listener"]}'\nadmin 'unix:#{sockets["admin"]}'\n"
        proxy = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
        proxy.await(/istening on /)
        eventually { expect(sockets.values).to all(satisfy { |path| File.socket?(path) }) }
        client = UnixClient.new(sockets["listener"]).write("Process.wait(fork { 1 }); { :close => $?.success?.to_s }\n")
        expect(client.read_all).to eq "true"
        expect(sockets.values).to all(satisfy { |path| File.socket?(path) })
        proxy.signal("QUIT")
        expect(proxy.wait).to be_success
        expect(sockets.values.any? { |path| File.exist?(path) }).to be false
        expect(proxy.stderr).to eq ""
      end
    end
  end

  # The child returns into the server without the server's threads.
  describe "fork without a block" do
    let(:proxy) { ScriptedProxy.start }

    it "leaves the server running; the child gets an error and ends" do
      relay = connect.write(ScriptedProxy.route_to(echo))
      expect(relay.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
      expect(ask("child = fork; Process.wait(child) if child; { :close => $?.exitstatus.to_s }\n")).to eq "1"
      expect(proxy.stderr).to match(/\Aproxymachine: the server does not survive a fork.*\n\z/)
      expect(relay.write("still there?").read(12)).to eq "still there?"
      proxy.signal("QUIT")
      relay.close
      expect(proxy.wait).to be_success
    end

    it "in a callback leaves the server running" do
      proxy = ProxyProcess.start(<<~RUBY)
        proxy { |data| data == "x" ? { :remote => #{Backends.closing.address.inspect} } : { :close => $?.exitstatus.to_s } }
        proxy_connect_error { child = fork and Process.wait(child) }
      RUBY
      expect(ask("x", proxy)).to eq ""
      expect(ask("?", proxy)).to eq "1"
    end

    it "several times leaves the server running" do
      5.times do
        expect(ask("child = fork; Process.wait(child) if child; { :close => $?.exitstatus.to_s }\n")).to eq "1"
      end
    end
  end

  # Process.daemon forks and ends the parent, which has the server's threads.
  describe "Process.daemon" do
    it "ends the server and closes its connections" do
      proxy = ScriptedProxy.start
      relay = connect(proxy).write(ScriptedProxy.route_to(echo))
      expect(relay.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
      client = connect(proxy).write("Process.daemon(true, true); { :close => true }\n")
      expect(proxy.wait).to be_success
      expect([relay, client]).to all(be_ended)
      eventually { expect(proxy.stderr).to include "the server does not survive a fork" }
      eventually { expect { connect(proxy) }.to raise_error(Errno::ECONNREFUSED) }
    end
  end
end
