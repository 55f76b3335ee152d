# frozen_string_literal: true

# CONTRACT 3 and 4: a :reply reaches the client even if the dial fails.
RSpec.describe "Reply larger than the socket buffers:" do
  size = 10_000_000
  running(:refused) { Backends.refusing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy { |data| { :remote => #{refused.address.inspect}, :reply => "R" * #{size} } }
    RUBY
  end

  # Returns the data of a client that begins to read after the dial has failed.
  def received
    client = connect.write("a")
    yield client
    proxy.await("WARN Retrying connection with #{refused.address} (#10)")
    client.read_all.size
  end

  it "arrives complete when the dial fails" do
    expect(received { nil }).to eq size
  end

  it "arrives complete at a client that has sent more data and a FIN" do
    expect(received { |client| client.write("b").finish }).to eq size
  end
end
