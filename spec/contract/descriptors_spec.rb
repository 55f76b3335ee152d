# frozen_string_literal: true

# No exhausted resource takes the server down. The kernel holds who cannot be accepted.
RSpec.describe "A server that has no descriptor left" do
  it "says so once, keeps what it has, and accepts again when one is free" do
    config = 'max_connections 100; proxy { |data| data == "x" ? { :noop => true } : { :close => "bye" } }'
    proxy = ProxyProcess.start(config, rlimit_nofile: 24)
    clients = Array.new(20) { connect(proxy).write("x") }
    proxy.await(/WARN Cannot accept connections: Too many open files$/)
    expect(clients.first.write("y").read_all).to eq "bye"
    clients.each(&:stop)
    expect(ask("hi", proxy)).to eq "bye"
    expect(proxy.lines.grep(/WARN/).size).to eq 1
  end
end
