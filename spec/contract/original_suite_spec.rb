# frozen_string_literal: true

# The assertions of the test suite of 1.2.4, with backends that reply with their name, as in that suite.
RSpec.describe "Test suite of 1.2.4:" do
  # Sleeps if the request asks for it, replies with its name and the request, and closes.
  def sleepy(name)
    Backend.new do |session|
      request = session.read
      sleep request[/\d+/].to_i if request&.start_with?("sleep")
      session.write("#{name}:#{request}")
    end
  end

  running(:first) { sleepy("first") }
  running(:second) { sleepy("second") }
  running(:rejecting) { Backends.refusing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY, log: :none)
      LOGGER = Logger.new(File.new("/dev/null", "w"))
      first = #{first.address.sub("127.0.0.1", "localhost").inspect}
      long = "e" * 2048
      answers = {
        "a" => { :remote => first },
        "b" => { :remote => #{second.address.inspect} },
        "c" => { :remote => first, :data => "ccc" },
        "d" => { :close => "ddd" },
        "g" => { :remote => first, :data => "g2", :reply => "g3-" },
        long => { :noop => true },
        long + "f" => { :remote => first },
        "connect reject" => { :remote => #{rejecting.address.inspect} },
        "inactivity" => { :remote => first, :data => "sleep 3", :inactivity_timeout => 1 },
        "leaving" => { :remote => first, :data => "sleep 5", :inactivity_timeout => 60 }
      }
      proxy { |data| answers.fetch(data, { :close => true }) }
      proxy_connect_error { |remote| File.binwrite(LOG_FILE, "connect error: \#{remote}") }
      proxy_inactivity_error { |remote| File.binwrite(LOG_FILE, "activity error: \#{remote}") }
    RUBY
  end

  let(:note) { File.join(proxy.dir, "log") }

  before { FileUtils.rm_f(note) }

  it "routes by content" do
    expect(ask("a")).to eq "first:a"
    expect(ask("b")).to eq "second:b"
  end

  it "closes the connection" do
    expect(ask("xxx")).to eq ""
  end

  it "routes with :data" do
    expect(ask("c")).to eq "first:ccc"
  end

  it "sends a String and closes" do
    expect(ask("d")).to eq "ddd"
  end

  it "routes with :reply and :data" do
    expect(ask("g")).to eq "g3-first:g2"
  end

  it "waits for more data and then routes" do
    expect(connect.write("e" * 2048).write("f").read_all).to eq "first:#{"e" * 2048}f"
  end

  it "calls proxy_connect_error before the client sees the end" do
    expect(ask("connect reject")).to eq ""
    expect(File.read(note)).to eq "connect error: #{rejecting.address}"
  end

  it "calls proxy_inactivity_error before the client sees the end" do
    started = Eventually.monotonic
    expect(ask("inactivity")).to eq ""
    expect(Eventually.monotonic - started).to be >= 1.0
    expect(File.read(note)).to eq "activity error: localhost:#{first.port}"
  end

  it "does not report the backend when the client disconnects", :process_title do
    client = connect.write("leaving")
    expect(first.session.await_received(7)).to eq "sleep 5"
    client.close
    eventually { expect(proxy.connections).to eq 0 }
    expect(File.exist?(note)).to be false
  end
end
