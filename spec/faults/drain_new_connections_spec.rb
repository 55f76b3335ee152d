# frozen_string_literal: true

# Connections that arrive with the signal: in the backlog, or accepted and not read yet. They are served or reset; none
# hangs. SIGSTOP holds the process meanwhile, so that signal and connections are pending together when it continues.
RSpec.describe "Drain of new connections:" do
  let(:echo) { Backends.echo }
  let(:proxy) { ScriptedProxy.start }

  def while_stopped
    proxy.signal("STOP")
    yield
  ensure
    proxy.signal("CONT")
  end

  # Returns the client's data up to the end of its connection; Client#read_all has a deadline.
  def outcome(client)
    client.read_all
  rescue Errno::ECONNRESET
    :reset
  end

  %w[QUIT TERM INT].each do |name|
    describe name do
      it "serves or resets connections in the backlog" do
        clients = []
        while_stopped do
          clients += Array.new(100) { connect.write("{ :close => 'served' }\n") }
          clients += Array.new(100) { connect.write("{ :close => 'served' }\n").finish }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["served", "", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "closes or resets silent connections in the backlog" do
        clients = []
        while_stopped do
          clients = Array.new(100) { connect }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "serves or resets accepted connections whose request is not read yet" do
        clients = Array.new(50) { connect }
        clients.each { |client| proxy.await("INFO Accepted #{client.address}") }
        while_stopped do
          clients.each { |client| client.write("{ :close => 'served' }\n") }
          proxy.signal(name)
        end
        expect(clients.map { |client| outcome(client) }.uniq - ["served", "", :reset]).to eq []
        expect(proxy.wait).to be_success
      end

      it "serves established connections whose data is not read yet" do
        client = connect.write(ScriptedProxy.route_to(echo))
        expect(client.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
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
