# frozen_string_literal: true

# CONTRACT 3 and 4: a :reply reaches the client even if the backend cannot be reached.
RSpec.describe "A :reply that is larger than the sockets' buffers" do
  size = 10_000_000
  running(:refused) { Backends.refusing }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy { |data| { :remote => #{refused.address.inspect}, :reply => "R" * #{size} } }
    RUBY
  end

  # What the client receives if it begins to read when the dial has failed for good.
  def received
    client = connect.write("a")
    yield client
    proxy.await("WARN Retrying connection with #{refused.address} (#10)")
    client.read_all.size
  end

  it "arrives whole when the dial fails" do
    expect(received { nil }).to eq size
  end

  it "arrives whole at a client that has sent more, and its end" do
    expect(received { |client| client.write("b").finish }).to eq size
  end
end
