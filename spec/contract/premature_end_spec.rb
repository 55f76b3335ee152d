# frozen_string_literal: true

# CONTRACT 4: a backend that closes before its first byte.
RSpec.describe "Premature end of the backend:" do
  running(:closing) { Backends.closing }
  running(:resetting) { Backends.resetting }
  running(:deaf) { Backend.new(&:close) } # closes with the request unread, which is a reset, or before the request
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "closing" => #{closing.address.inspect},
        "resetting" => #{resetting.address.inspect},
        "deaf" => #{deaf.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data), :inactivity_timeout => 5, :reply => "welcome" } }
      proxy_connect_error { |remote| puts "connect error with \#{remote}" }
      proxy_inactivity_error { |remote| puts "inactivity with \#{remote}" }
    RUBY
  end

  # The client sees how the backend has ended.
  {
    "by closing after the request" => [:closing, %i[FIN]],
    "by resetting the connection after the request" => [:resetting, %i[RST]],
    "by closing at once" => [:deaf, %i[FIN RST]]
  }.each do |manner, (kind, ends)|
    describe manner do
      let(:backend) { public_send(kind) }

      it "closes the client, logs one ERROR line and calls the callback once, without a retry" do
        client = connect.write(kind.to_s)
        expect(client.read(7)).to eq "welcome"
        expect(ends).to include(client.received_end)
        expect(proxy.errors).to eq ["ERROR Connection with #{backend.address} was terminated prematurely."]
        expect(proxy.settle.lines.grep(/Retrying/)).to eq []
        expect(proxy.settled_log.scan("connect error with #{backend.address}\n").size).to eq 1
        expect(proxy.settled_log).not_to include "inactivity with"
        expect(backend.sessions.size).to eq 1
      end
    end
  end
end
