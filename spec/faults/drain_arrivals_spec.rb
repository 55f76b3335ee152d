# frozen_string_literal: true

# Connections that arrive with the signal: in the backlog, or accepted and not read yet. They are served or reset, and
# none hangs. The process is stopped meanwhile, so that all of it is there at once when it goes on.
RSpec.describe "Connections that wait for a server which is told to end by" do
  let(:echo) { Backends.echo }
  let(:proxy) { Puppet.start }

  def while_stopped
    proxy.signal("STOP")
    yield
  ensure
    proxy.signal("CONT")
  end

  # What it got until the end of its connection, which must come: see Client#read_all.
  def outcome(client)
    client.read_all
  rescue Errno::ECONNRESET
    :reset
  end

  %w[QUIT TERM INT].each do |name|
    describe name do
      it "are served or reset when they are in the backlog" do
        clients = []
        while_stopped do
          clients += Array.new(100) { connect.write("{ :close => 'served' }\n") }
          clients += Array.new(100) { connect.write("{ :close => 'served' }\n").finish }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["served", "", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "are closed or reset when they are in the backlog and have said nothing" do
        clients = []
        while_stopped do
          clients = Array.new(100) { connect }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "are served or reset when they are accepted and what they said is not read" do
        clients = Array.new(50) { connect }
        clients.each { |client| proxy.await("INFO Accepted #{client.address}") }
        while_stopped do
          clients.each { |client| client.write("{ :close => 'served' }\n") }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["served", "", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "are served, whole, when they are established and what they said is not read" do
        client = connect.write(Puppet.to(echo))
        expect(client.read(Puppet.to(echo).size)).to eq Puppet.to(echo)
        while_stopped do
          client.write("x" * 100_000).finish
          proxy.signal(name)
        end
        expect(client.read_all).to eq "x" * 100_000
        expect(proxy.wait).to be_success
      end
    end
  end
end
