# frozen_string_literal: true

# CONTRACT 3: answers that are not a Hash: the short form of 0.1.x and of the specification, and invalid answers.
RSpec.describe "Block answer that is not a Hash:" do
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

  it '"host:port" connects and replays the buffer' do
    expect(ask("string")).to eq "backend:string"
  end

  it ":noop waits for more data" do
    client = connect.write("noop")
    proxy.await("INFO #{client.address} :noop")
    expect(client).to be_quiet
    expect(client.write("!").read_all).to eq "backend:noop!"
  end

  it ":close closes the connection without an error" do
    expect(ask("close")).to eq ""
    expect(proxy.errors).to eq []
  end

  {
    "nil" => /nil/, "true" => /true/, "false" => /false/, "number" => /8080/,
    "array" => /\[:remote, "127\.0\.0\.1:80"\]/, "symbol" => /:nope/, "object" => /#<Odd thing>/
  }.each do |kind, shown|
    it "#{kind} closes the connection with one ERROR line that has the value and the valid forms" do
      expect(ask(kind)).to eq ""
      expect(proxy.errors).to match [shown]
      expect(proxy.errors.first).to match(/remote/).and match(/close/).and match(/noop/)
    end
  end
end
