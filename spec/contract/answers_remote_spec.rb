# frozen_string_literal: true

# CONTRACT 3: {:remote => ...} and the keys that go with it.
RSpec.describe "Block answer {:remote => ...}:" do
  running(:backend) { Backends.once("backend") }
  running(:patient) { Backends.reply_at_eof("patient") }
  running(:refused) { Backends.refusing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remote = #{backend.address.inspect}
      answers = {
        "plain"       => {},
        "data"        => { :data => "instead" },
        "empty data"  => { :data => "" },
        "nil data"    => { :data => nil },
        "no data"     => { :data => false, :reply => false, :connect_timeout => false },
        "symbol data" => { :data => :symbol },
        "number data" => { :data => 42 },
        "binary data" => { :data => (0..255).to_a.pack("C*") },
        "utf-16 data" => { :data => "\\u00e9".encode("UTF-16LE") },
        "reply"       => { :reply => "hello " },
        "nil reply"   => { :reply => nil },
        "empty reply" => { :reply => "" },
        "other reply" => { :reply => :hi },
        "number reply" => { :reply => 7 },
        "both"        => { :data => "g2", :reply => "g3-" },
        "nil connect timeout" => { :connect_timeout => nil, :inactivity_timeout => nil },
        "number timeouts" => { :connect_timeout => 5, :inactivity_timeout => 10 },
        "timeouts of no length" => { :connect_timeout => 0, :inactivity_timeout => -1.0 },
        "unknown key" => { :weight => 3 }
      }
      proxy do |data|
        case data
        when "refused" then { :remote => #{refused.address.inspect}, :reply => "one moment" }
        when /\\Await/ then data.end_with?("!") ? { :remote => #{patient.address.inspect} } : { :noop => true }
        when /\\Apatient / then { :remote => #{patient.address.inspect} }.merge(answers.fetch($'))
        else { :remote => remote }.merge(answers.fetch(data))
        end
      end
    RUBY
  end

  # Sends the first text, waits for the connection to the patient backend, sends the second and returns the reply.
  def say_later(first, second)
    client = connect.write(first)
    proxy.await("INFO Successful connection to #{patient.address}")
    client.write(second).finish.read_all
  end

  it "replays the buffer to the backend and relays between client and backend" do
    expect(ask("plain")).to eq "backend:plain"
  end

  it "replays all chunks that arrived before the decision" do
    client = connect.write("wait ")
    proxy.await(/noop/)
    expect(client.write("for it!").finish.read_all).to eq "patient:wait for it!"
  end

  it "relays data that arrives after the decision" do
    expect(say_later("patient plain", " and more")).to eq "patient:patient plain and more"
  end

  describe ":data" do
    it "replaces the buffer" do
      expect(ask("data")).to eq "backend:instead"
    end

    it "precedes data that arrives later" do
      expect(say_later("patient data", ", later")).to eq "patient:instead, later"
    end

    it "sends nothing when empty" do
      expect(connect.write("patient empty data").finish.read_all).to eq "patient:"
    end

    it "sends only later data when empty" do
      expect(say_later("patient empty data", "later")).to eq "patient:later"
    end

    it "leaves the buffer in place when nil or false, for example after a condition that did not hold" do
      expect(ask("nil data")).to eq "backend:nil data"
      expect(ask("no data")).to eq "backend:no data"
    end

    it "sends the to_s of anything else" do
      expect(ask("symbol data")).to eq "backend:symbol"
      expect(ask("number data")).to eq "backend:42"
    end

    it "sends the bytes of a String in any encoding" do
      expect(ask("binary data")).to eq "backend:".b + (0..255).to_a.pack("C*")
      expect(ask("utf-16 data")).to eq "backend:\xE9\x00".b
    end
  end

  describe ":reply" do
    it "reaches the client before the backend's reply" do
      expect(ask("reply")).to eq "hello backend:reply"
    end

    it "is sent before the dial, so that the client receives it even if the dial fails" do
      client = connect.write("refused")
      expect(client.read("one moment".size)).to eq "one moment"
      proxy.await("WARN Retrying connection with #{refused.address} (#2)")
      expect(client).to be_quiet
    end

    it "sends nothing when nil or empty" do
      expect(ask("nil reply")).to eq "backend:nil reply"
      expect(ask("empty reply")).to eq "backend:empty reply"
    end

    it "sends the to_s of anything else" do
      expect(ask("other reply")).to eq "hibackend:other reply"
      expect(ask("number reply")).to eq "7backend:number reply"
    end

    it "can be combined with :data" do
      expect(ask("both")).to eq "g3-backend:g2"
    end
  end

  it "accepts whole seconds as timeouts, and treats nil and non-positive values as no timeout" do
    expect(ask("number timeouts")).to eq "backend:number timeouts"
    expect(ask("nil connect timeout")).to eq "backend:nil connect timeout"
    expect(ask("timeouts of no length")).to eq "backend:timeouts of no length"
  end

  it "ignores unknown keys" do
    expect(ask("unknown key")).to eq "backend:unknown key"
    expect(proxy.errors).to eq []
  end
end
