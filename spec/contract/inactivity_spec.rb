# frozen_string_literal: true

# CONTRACT 3: the key :inactivity_timeout.
RSpec.describe "Inactivity timeout:" do
  running(:silent) { Backends.silent }
  running(:first_byte) do
    Backend.new do |session|
      session.read
      session.write("one byte")
      session.drain
    end
  end
  running(:dripping) do
    Backend.new do |session|
      20.times do
        session.write(".")
        sleep 0.1
      end
      session.drain
    end
  end
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "silent" => #{silent.address.inspect}, "first byte" => #{first_byte.address.inspect},
        "dripping" => #{dripping.address.inspect}
      }
      proxy do |data|
        kind, seconds = data.lines.first.split(":")
        { :remote => remotes.fetch(kind), :inactivity_timeout => eval(seconds) }
      end
      proxy_inactivity_error { |remote| puts "inactivity of \#{remote}" }
      proxy_connect_error { |remote| puts "connect error of \#{remote}" }
    RUBY
  end

  it "before the backend's first byte, logs a line, closes the connection and calls the callback" do
    started = Eventually.monotonic
    expect(ask("silent:0.5")).to eq ""
    expect(Eventually.monotonic - started).to be >= 0.5
    line = /\AERROR Disconnecting #{silent.address} after (\d+\.\d+)s of inactivity \(> 0\.5\)\z/
    expect(proxy.errors).to match [line]
    expect(proxy.errors.first[line, 1].to_f).to be >= 0.5
    expect(proxy.settled_log.scan("inactivity of #{silent.address}\n").size).to eq 1
    expect(proxy.settled_log).not_to include "connect error of"
  end

  it "may be an Integer, logged as a Float" do
    expect(ask("silent:1")).to eq ""
    expect(proxy.errors).to match [/ of inactivity \(> 1\.0\)\z/]
  end

  it "after the backend's first byte, closes without a log line" do
    expect(ask("first byte:3")).to eq "one byte"
    expect(proxy.errors).to eq []
    expect(proxy.settled_log).not_to match(/inactivity of|connect error of/)
  end

  it "closes the backend's connection, too" do
    expect(ask("first byte:3")).to eq "one byte"
    eventually { expect(first_byte.session).to be_ended }
  end

  it "restarts with each byte from the backend" do
    eventually { expect(ask("dripping:1.2")).to eq "." * 20 } # A busy machine may hold up the backend for so long.
  end

  it "restarts with each write to the backend" do
    started = Eventually.monotonic
    client = connect.write("silent:3\n")
    20.times do
      client.write(".")
      sleep 0.2 # the client's pace, shorter than the timeout
    end
    expect(client).to be_quiet
    expect(client.read_all).to eq ""
    expect(Eventually.monotonic - started).to be >= 3.8 + 3
    expect(proxy.errors).to match [/Disconnecting #{silent.address} after/]
  end

  ["0", "-1", "nil", "0.0/0"].each do |seconds|
    it "#{seconds} means no timeout" do
      client = connect.write("silent:#{seconds}")
      proxy.await("INFO Successful connection to #{silent.address}")
      expect(ask("silent:0.3")).to eq ""
      expect(client).to be_quiet
      expect(proxy.errors.size).to eq 1
    end
  end
end
