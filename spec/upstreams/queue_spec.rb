# frozen_string_literal: true

# BEYOND.md, sections 2 and 2.1: servers with a limit of connections, and the clients that wait for one.
RSpec.describe "Upstream queue:" do
  let(:server) { Backends.echo }
  let(:options) { ":max_connections => 1, :queue_timeout => 60" }
  let(:callback) { "" }
  let(:answer) { ":db" }
  let(:proxy) do
    ProxyProcess.start(<<~RUBY, args: ["-h", "127.0.0.1", "-p", "0", "--admin", "0"])
      upstream :db, #{server.address.inspect}, #{options}
      proxy { |data| data == "?" ? :noop : #{answer} }
      #{callback}
    RUBY
  end

  def upstream
    Admin.status(proxy)["upstreams"].first
  end

  # Returns a client that the server serves.
  def served(text = "x")
    connect.write(text).tap { |client| expect(client.read(text.size)).to eq text }
  end

  def await_queue(length)
    eventually { upstream["queue"] == length }
  end

  it "clients wait in turn, and the server never has more than its maximum" do
    first = served
    waiting = %w[a b c].each_with_index.map do |text, index|
      connect.write(text).tap { await_queue(index + 1) }
    end
    expect(server.sessions.size).to eq 1
    first.close
    waiting.each_with_index do |client, index|
      expect(client.read(1)).to eq %w[a b c][index]
      expect(server.sessions.size).to eq index + 2
      client.close
    end
    eventually { upstream["connections"].zero? && upstream["queue"].zero? }
  end

  context "without :queue_timeout" do
    let(:options) { ":max_connections => 1" }
    let(:callback) { 'proxy_connect_error { |remote| { :close => "#{remote} is full" } }' }

    it "a client that finds no room is closed at once, and the callback may have last words" do
      held = served
      client = connect.write("y")
      expect(client.read_all).to eq "db is full"
      expect(proxy.settled_log).to match(/ INFO -- : #{client.address} upstream db is full\. Closing\.$/)
      expect(proxy.errors).to be_empty
      held.close
    end
  end

  context "with :max_queue" do
    let(:options) { ":max_connections => 1, :queue_timeout => 60, :max_queue => 1" }

    it "only so many clients wait" do
      held = served
      waiting = connect.write("a")
      await_queue(1)
      expect(ask("b")).to eq ""
      held.close
      expect(waiting.read(1)).to eq "a"
      waiting.close
    end
  end

  context "with a list" do
    let(:options) { ":max_connections => 1, :queue_timeout => 0.05" }
    let(:other) { Backends.once("other") }
    let(:answer) { "{ :remote => [:db, #{other.address.inspect}], :retries => 0 }" }

    it "a client whose wait is over goes on to the next" do
      held = served
      expect(ask("b")).to eq "other:b"
      expect(proxy.settled_log).not_to include("is full")
      held.close
    end
  end

  context "with :retries" do
    let(:options) { ":max_connections => 1, :queue_timeout => 0.2" }
    let(:answer) { "{ :remote => :db, :retries => 1000, :retry_delay => 60 }" }

    it "they do not lengthen the wait" do
      held = served
      expect(ask("b")).to eq ""
      expect(proxy.settled_log).not_to include("Retrying")
      held.close
    end
  end

  it "a client that is reset leaves the queue" do
    held = served
    client = connect.write("a")
    await_queue(1)
    client.reset
    await_queue(0)
    held.close
    expect(served.close).to be_nil
    expect(server.sessions.size).to eq 2
  end

  it "a raised maximum serves the clients that wait" do
    held = served
    waiting = connect.write("a")
    await_queue(1)
    File.write(proxy.config_path, File.read(proxy.config_path).sub("max_connections => 1", "max_connections => 2"))
    proxy.signal("HUP")
    expect(waiting.read(1)).to eq "a"
    [held, waiting].each(&:close)
  end
end
