# frozen_string_literal: true

# CONTRACT 3: the answers that close the connection, and those that wait for more data.
RSpec.describe "Block answer:" do
  running(:backend) { Backends.once("backend") }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remote = #{backend.address.inspect}
      big = "last words " * 100_000
      answers = {
        "close true"    => { :close => true },
        "close string"  => { :close => "bye" },
        "close empty"   => { :close => "" },
        "close symbol"  => { :close => :bye },
        "close number"  => { :close => 42 },
        "close binary"  => { :close => "\\0\\x5b\\xff".b },
        "close utf-8"   => { :close => "\\u00e9" },
        "close utf-16"  => { :close => "\\u00e9".encode("UTF-16LE") },
        "close big"     => { :close => big },
        "close frozen"  => { :close => "bye".freeze },
        "remote first"  => { :noop => true, :close => "closed", :remote => remote },
        "close second"  => { :noop => true, :close => "closed" },
        "nil remote"    => { :remote => nil, :close => "closed" },
        "false remote"  => { :remote => false, :close => "closed" },
        "empty"         => {},
        "noop false"    => { :noop => false },
        "close false"   => { :close => false },
        "nothing true"  => { :remote => nil, :close => nil, :noop => nil },
        "string keys"   => { "close" => "not read" },
        "remote string key" => { "remote" => remote },
        "other keys"    => { :data => "x", :reply => "y" }
      }
      waits = {
        "noop" => { :noop => true },
        "noop with more" => { :noop => true, :reply => "no", :data => "no" },
        "noop truthy" => { :noop => 1 },
        "noop after nil" => { :remote => nil, :close => false, :noop => true }
      }
      proxy do |data|
        next { :remote => remote } if data.end_with?("!")
        next { :close => "enough" } if data.start_with?("endless")
        answers[data] || waits.fetch(data)
      end
    RUBY
  end

  describe "{:close => ...}" do
    it "closes the connection when the value is true" do
      expect(ask("close true")).to eq ""
    end

    it "sends a String and then closes" do
      expect(ask("close string")).to eq "bye"
      expect(ask("close frozen")).to eq "bye"
    end

    it "sends the bytes of a String in any encoding" do
      expect(ask("close binary")).to eq "\x00\x5B\xFF".b
      expect(ask("close utf-8")).to eq "\u00E9".b
      expect(ask("close utf-16")).to eq "\xE9\x00".b
    end

    it "sends all bytes of a long String" do
      expect(ask("close big")).to eq "last words " * 100_000
    end

    it "sends the to_s of any other true value" do
      expect(ask("close symbol")).to eq "bye"
      expect(ask("close number")).to eq "42"
    end

    it "sends the String even to a client that is still sending" do
      20.times do
        client = connect.write("endless#{"x" * 200_000}")
        expect(client.read(6)).to eq "enough"
        expect(client).to be_ended
      end
    end

    it "closes without sending when the String is empty" do
      expect(ask("close empty")).to eq ""
      expect(proxy.errors).to eq []
    end
  end

  describe "several keys:" do
    it ":remote takes precedence over :close, and :close over :noop" do
      expect(ask("remote first")).to eq "backend:remote first"
      expect(ask("close second")).to eq "closed"
    end

    it "a key whose value is nil or false is ignored" do
      expect(ask("nil remote")).to eq "closed"
      expect(ask("false remote")).to eq "closed"
    end
  end

  describe "{:noop => true}" do
    ["noop", "noop with more", "noop truthy", "noop after nil"].each do |kind|
      it "waits for more data: #{kind}" do
        client = connect.write(kind)
        proxy.await(/\AINFO #{client.address} .*noop/)
        expect(client).to be_quiet
        expect(client.write("!").read_all).to eq "backend:#{kind}!"
      end
    end
  end

  [
    "empty", "noop false", "close false", "nothing true", "string keys", "remote string key", "other keys"
  ].each do |kind|
    it "without a decision closes the connection: #{kind}" do
      expect(ask(kind)).to eq ""
    end
  end
end
