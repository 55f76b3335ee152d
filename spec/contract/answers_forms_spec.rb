# frozen_string_literal: true

# CONTRACT 3: answers that are not a Hash, in the short form of 0.1.x and the specification, and those that are none.
RSpec.describe "An answer that is not a Hash" do
  running(:backend) { Backends.once("backend") }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      class Odd
        def inspect; "#<Odd thing>"; end
      end
      answers = {
        "string" => #{backend.address.inspect},
        "close"  => :close,
        "nil"    => nil,
        "true"   => true,
        "false"  => false,
        "number" => 8080,
        "array"  => [:remote, "127.0.0.1:80"],
        "symbol" => :nope,
        "object" => Odd.new
      }
      proxy { |data| data.start_with?("noop") && !data.end_with?("!") ? :noop : answers.fetch(data.sub("noop!", "string")) }
    RUBY
  end

  it 'connects when it is "host:port", and replays the buffer' do
    expect(ask("string")).to eq "backend:string"
  end

  it "waits for more when it is :noop" do
    client = connect.write("noop")
    proxy.await("INFO #{client.address} :noop")
    expect(client).to be_quiet
    expect(client.write("!").read_all).to eq "backend:noop!"
  end

  it "closes when it is :close, without an error" do
    expect(ask("close")).to eq ""
    expect(proxy.errors).to eq []
  end

  {
    "nil" => /nil/, "true" => /true/, "false" => /false/, "number" => /8080/,
    "array" => /\[:remote, "127\.0\.0\.1:80"\]/, "symbol" => /:nope/, "object" => /#<Odd thing>/
  }.each do |kind, shown|
    it "closes with one error line that shows the value and says what is valid: #{kind}" do
      expect(ask(kind)).to eq ""
      expect(proxy.errors).to match [shown]
      expect(proxy.errors.first).to match(/remote/).and match(/close/).and match(/noop/)
    end
  end
end
