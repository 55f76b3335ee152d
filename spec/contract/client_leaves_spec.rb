# frozen_string_literal: true

# CONTRACT 4: a client that ends or leaves before the connection to its backend stands.
RSpec.describe "A client" do
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:patient) { Backends.patient("patient") }
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
        elsif kind == "at" then { :remote => detail }
        else { :remote => remotes.fetch(kind), :inactivity_timeout => (0.3 if kind == "silent") }
        end
      end
      proxy_connect_error { |remote| puts "callback for \#{remote}" }
      proxy_inactivity_error { |remote| puts "callback for \#{remote}" }
    RUBY
  end

  dropped = "INFO Client closed while server connection in progress. Dropping."

  describe "that resets the connection while the backend is tried" do
    # Says it, waits until the proxy has logged the line, and leaves.
    def leave_after(line, request)
      client = connect.write(request)
      proxy.await(line)
      client.reset
    end

    it "between two attempts, is noticed: nothing more is tried or sent, and nobody is called back" do
      late = Backends.refusing
      leave_after("WARN Retrying connection with #{late.address} (#1)", "at:#{late.address}")
      proxy.await(dropped)
      late.listen
      connect.write("at:#{late.address}")
      eventually { expect(late.received).to eq ["at:#{late.address}"] }
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "during an attempt, is noticed before the attempt ends" do
      leave_after("INFO Establishing new connection with #{black_hole.address}", "black hole")
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.settle.lines.grep(/Retrying/)).to eq []
    end

    it "is no longer counted" do
      before = proxy.connections
      leave_after("INFO Establishing new connection with #{black_hole.address}", "black hole")
      proxy.await(dropped)
      eventually { expect(proxy.connections).to be <= before }
    end
  end

  describe "that has ended its side before the decision" do
    it "still gets its reply" do
      expect(connect.write("patient:slowly").finish.read_all).to eq "patient:patient:slowly"
      expect(proxy.settle.lines).not_to include dropped
    end

    it "gets its reply when everything came at once" do
      50.times { expect(connect.write("patient").finish.read_all).to eq "patient:patient" }
    end
  end

  describe "that ends its side while the backend is tried" do
    it "still gets its reply once the backend is there" do
      late = Backends.refusing { |session| session.write("late:#{session.drain}") }
      client = connect.write("at:#{late.address}").finish
      proxy.await("WARN Retrying connection with #{late.address} (#2)")
      late.listen
      expect(client.read_all).to eq "late:at:#{late.address}"
    end

    it "makes no error of a backend that cannot be reached: a log line and no callback" do
      expect(connect.write("refused").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "makes no error of a backend that ends without a byte" do
      expect(connect.write("closing:slowly").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end

    it "makes no error of a backend that stays silent" do
      expect(connect.write("silent").finish.read_all).to eq ""
      proxy.await(dropped)
      expect(proxy.settled_log).not_to include "callback"
      expect(proxy.errors).to eq []
    end
  end

  describe "that ends its side while the block waits for more" do
    it "is closed, without an error" do
      client = connect.write("wait")
      proxy.await("INFO #{client.address} #{{ noop: true }.inspect}")
      expect(client.finish.read_all).to eq ""
      expect(proxy.errors).to eq []
    end

    it "is closed even if it ended with the same packet" do
      20.times { expect(connect.write("wait").finish.read_all).to eq "" }
    end
  end
end
