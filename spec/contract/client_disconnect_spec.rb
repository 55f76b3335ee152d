# frozen_string_literal: true

# CONTRACT 4: a client that half-closes or disconnects before the connection to its backend is established.
RSpec.describe "Client disconnect before the backend is connected:" do
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:patient) { Backends.reply_at_eof("patient") }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "refused" => #{refused.address.inspect}, "black hole" => #{black_hole.address.inspect},
        "closing" => #{closing.address.inspect}, "silent" => #{silent.address.inspect},
        "patient" => #{patient.address.inspect}
      }
      proxy do |data|
        kind, detail = data.split(":", 2)
        sleep 0.2 if detail == "slowly"
        if kind == "wait" then { :noop => true }
        elsif kind == "at" then { :remote => detail, :retries => 1000 } # enough for a busy machine
        else { :remote => remotes.fetch(kind), :inactivity_timeout => (0.3 if kind == "silent") }
        end
      end
      proxy_connect_error { |remote| puts "callback for \#{remote}" }
      proxy_inactivity_error { |remote| puts "callback for \#{remote}" }
    RUBY
  end

  dropped = "INFO Client closed while server connection in progress. Dropping."

  describe "a reset during the dial" do
    # Sends the text, waits for the log line, and resets the connection.
    def leave_after(line, request)
      client = connect.write(request)
      proxy.await(line)
      client.reset
    end

    it "between two attempts ends the dial: no further attempt, no data, no callback" do
      late = Backends.refusing
      leave_after("WARN Retrying connection with #{late.address} (#1)", "at:#{late.address}")
      proxy.await(dropped)
      late.listen
      connect.write("at:#{late.address}")
      eventually { expect(late.received).to eq ["at:#{late.address}"] }
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "within an attempt is noticed before the attempt ends" do
      leave_after("INFO Establishing new connection with #{black_hole.address}", "black hole")
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.settle.lines.grep(/Retrying/)).to eq []
    end

    it "removes the connection from the count", :process_title do
      before = proxy.connections
      leave_after("INFO Establishing new connection with #{black_hole.address}", "black hole")
      proxy.await(dropped)
      eventually { expect(proxy.connections).to be <= before }
    end
  end

  describe "a half-close before the decision" do
    it "does not prevent the reply" do
      expect(connect.write("patient:slowly").finish.read_all).to eq "patient:patient:slowly"
      expect(proxy.settle.lines).not_to include dropped
    end

    it "does not prevent the reply when request and FIN arrive together" do
      50.times { expect(connect.write("patient").finish.read_all).to eq "patient:patient" }
    end
  end

  describe "a half-close during the dial" do
    it "does not prevent the reply once the backend is connected" do
      late = Backends.refusing { |session| session.write("late:#{session.drain}") }
      client = connect.write("at:#{late.address}").finish
      proxy.await("WARN Retrying connection with #{late.address} (#2)")
      late.listen
      expect(client.read_all).to eq "late:at:#{late.address}"
    end

    it "makes an unreachable backend no error: one INFO line, no callback" do
      expect(connect.write("refused").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "makes a backend that closes without a byte no error" do
      expect(connect.write("closing:slowly").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "makes a silent backend no error" do
      expect(connect.write("silent").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end
  end

  describe "a half-close while the block waits for more data" do
    it "closes the connection without an error" do
      client = connect.write("wait")
      proxy.await("INFO #{client.address} #{{ noop: true }.inspect}")
      expect(client.finish.read_all).to eq ""
      expect(proxy.errors).to eq []
    end

    it "closes the connection even if data and FIN share a packet" do
      20.times { expect(connect.write("wait").finish.read_all).to eq "" }
    end
  end
end
