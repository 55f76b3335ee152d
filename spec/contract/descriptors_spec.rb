# frozen_string_literal: true

# The server survives an exhausted descriptor limit. Connections that it cannot accept stay in the kernel's backlog.
RSpec.describe "Descriptor limit:" do
  it "is logged once, leaves existing connections alone, and ends when a descriptor is free" do
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
