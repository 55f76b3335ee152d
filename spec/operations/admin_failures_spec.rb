# frozen_string_literal: true

# The last connections that ended by an error, at the admin address.
RSpec.describe "Recent failures:" do
  let(:nobody) { refused_address }
  let(:config) do
    <<~RUBY
      admin "127.0.0.1:0"
      proxy do |data|
        raise "a mistake" if data == "raise"
        data == "refused" ? { :remote => #{nobody.inspect}, :retries => 0 } : { :close => "bye" }
      end
    RUBY
  end

  def failures(proxy) = Admin.status(proxy).fetch("failures")

  it "are counted by backend, code and reason, the newest first; connections that end well leave nothing" do
    proxy = ProxyProcess.start(config)
    ask("well", proxy)
    expect(failures(proxy)).to eq("recent" => [], "groups" => [])
    3.times { ask("refused", proxy) }
    ask("raise", proxy)
    eventually { expect(failures(proxy)["recent"].size).to eq 4 }
    raised, refused = failures(proxy)["groups"]
    expect(raised).to include("code" => "XR", "remote" => nil, "count" => 1)
    expect(refused).to include("code" => "SC", "remote" => nobody, "reason" => "refused", "count" => 3)
    expect(refused["first"]).to be <= refused["last"]
    times = failures(proxy)["recent"].map { |failure| failure["at"] }
    expect(times).to eq times.sort.reverse
  end

  it "have the client, the connection and the times, and nothing that was sent" do
    proxy = ProxyProcess.start(config)
    client = connect(proxy).write("refused")
    client.read_all
    failure = eventually { failures(proxy)["recent"].first }
    expect(failure).to include("client" => client.address, "listener" => "127.0.0.1:0", "retries" => 0,
                               "block_ms" => Integer, "connecting_ms" => Integer, "total_ms" => Integer,
                               "first_byte_ms" => nil)
    expect(failure["connection"]).to match(/\A[0-9a-z]+-[0-9a-z]+\z/)
    expect(failure.keys - %w[at client connection listener remote code reason retries waiting_ms block_ms connecting_ms
                             first_byte_ms relaying_ms total_ms]).to be_empty
  end

  it "are bounded: the last hundred connections" do
    proxy = ProxyProcess.start(config)
    110.times { ask("refused", proxy) }
    eventually { expect(failures(proxy)["groups"].first["count"]).to eq 110 }
    expect(failures(proxy)["recent"].size).to eq 100
  end

  it "are on the page, to which their termination code links, and in the text for terminals" do
    proxy = ProxyProcess.start(config)
    2.times { ask("refused", proxy) }
    eventually { expect(failures(proxy)["recent"].size).to eq 2 }
    page = Admin.get(proxy, "/")
    expect(page).to include('<a href="#failures-SC">', 'id="failures-SC"', "#{nobody} refused")
    expect(page).to match(/2 times in \d+ s/)
    row = /^\d+ s ago +SC +2 times in \d+ s .* #{Regexp.escape(nobody)} refused$/
    expect(Admin.get(proxy, "/status.txt")).to match(row)
  end

  it "of all workers are shown together" do
    proxy = ProxyProcess.new(config, log: :none, args: %w[-h 127.0.0.1 -p 0 --workers 2])
    eventually { expect(proxy.stdout).to include("Metrics and status on", "Listening on").and end_with("\n") }
    address = proxy.stdout[/Listening on (\S+)\.$/, 1].split(":")
    20.times { TCPSocket.open(*address) { |socket| socket.write("refused") && socket.read } }
    url = proxy.stdout[%r{Metrics and status on (http://\S+)}, 1]
    eventually do
      shown = JSON.parse(Net::HTTP.get(URI("#{url}status.json")))["failures"]
      expect([shown["recent"].size, shown["groups"].map { |group| group["count"] }]).to eq [20, [20]]
    end
  end
end
