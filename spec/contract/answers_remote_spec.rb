# frozen_string_literal: true

# CONTRACT 3: {:remote => ...} and what may stand beside it.
RSpec.describe "The answer {:remote => ...}" do
  running(:backend) { Backends.once("backend") }
  running(:patient) { Backends.patient("patient") }
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

  # Says the second thing once the first has led to a connection with the patient backend, and returns its answer.
  def say_later(first, second)
    client = connect.write(first)
    proxy.await("INFO Successful connection to #{patient.address}")
    client.write(second).finish.read_all
  end

  it "replays what was received to the backend and joins the two connections" do
    expect(ask("plain")).to eq "backend:plain"
  end

  it "replays all chunks that came before the decision" do
    client = connect.write("wait ")
    proxy.await(/noop/)
    expect(client.write("for it!").finish.read_all).to eq "patient:wait for it!"
  end

  it "passes on what comes after the decision" do
    expect(say_later("patient plain", " and more")).to eq "patient:patient plain and more"
  end

  describe "with :data" do
    it "sends that instead of the buffer" do
      expect(ask("data")).to eq "backend:instead"
    end

    it "sends what comes later after it" do
      expect(say_later("patient data", ", later")).to eq "patient:instead, later"
    end

    it "sends nothing when it is empty" do
      expect(connect.write("patient empty data").finish.read_all).to eq "patient:"
    end

    it "sends only what comes later when it is empty" do
      expect(say_later("patient empty data", "later")).to eq "patient:later"
    end

    it "sends the buffer when it is nil or false, as when a condition did not hold" do
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

  describe "with :reply" do
    it "sends that to the client, before the backend's answer" do
      expect(ask("reply")).to eq "hello backend:reply"
    end

    it "sends it before the connection is tried, so that the client has it even if that fails" do
      client = connect.write("refused")
      expect(client.read("one moment".size)).to eq "one moment"
      proxy.await("WARN Retrying connection with #{refused.address} (#2)")
      expect(client).to be_quiet
    end

    it "sends nothing when it is nil or empty" do
      expect(ask("nil reply")).to eq "backend:nil reply"
      expect(ask("empty reply")).to eq "backend:empty reply"
    end

    it "sends the to_s of anything else" do
      expect(ask("other reply")).to eq "hibackend:other reply"
      expect(ask("number reply")).to eq "7backend:number reply"
    end

    it "goes together with :data" do
      expect(ask("both")).to eq "g3-backend:g2"
    end
  end

  it "takes whole seconds as timeouts, and nil or nothing positive as none given" do
    expect(ask("number timeouts")).to eq "backend:number timeouts"
    expect(ask("nil connect timeout")).to eq "backend:nil connect timeout"
    expect(ask("timeouts of no length")).to eq "backend:timeouts of no length"
  end

  it "ignores keys that it does not know" do
    expect(ask("unknown key")).to eq "backend:unknown key"
    expect(proxy.errors).to eq []
  end
end
