# frozen_string_literal: true

# CONTRACT 4: a backend that ends before its first byte.
RSpec.describe "A backend that accepts and then ends without a byte" do
  running(:closing) { Backends.closing }
  running(:resetting) { Backends.resetting }
  running(:hearing) { Backend.new(&:read) } # hears the request and closes
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      remotes = {
        "closing" => #{closing.address.inspect},
        "resetting" => #{resetting.address.inspect},
        "hearing" => #{hearing.address.inspect}
      }
      proxy { |data| { :remote => remotes.fetch(data), :inactivity_timeout => 5, :reply => "welcome" } }
      proxy_connect_error { |remote| puts "connect error with \#{remote}" }
      proxy_inactivity_error { |remote| puts "inactivity with \#{remote}" }
    RUBY
  end

  {
    "by closing at once" => :closing,
    "by resetting the connection after the request" => :resetting,
    "by closing after the request" => :hearing
  }.each do |manner, kind|
    describe manner do
      let(:backend) { public_send(kind) }

      it "ends the client too, logs it as an error and calls back once, without a retry" do
        expect(ask(kind.to_s)).to eq "welcome"
        expect(proxy.errors).to eq ["ERROR Connection with #{backend.address} was terminated prematurely."]
        expect(proxy.settle.lines.grep(/Retrying/)).to eq []
        expect(proxy.settled_log.scan("connect error with #{backend.address}\n").size).to eq 1
        expect(proxy.settled_log).not_to include "inactivity with"
        expect(backend.sessions.size).to eq 1
      end
    end
  end
end
