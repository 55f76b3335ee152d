# frozen_string_literal: true

# QUIT, TERM and INT during the start, twice, mixed, and while the block is busy. Single signals are in
# spec/contract/signals_spec.rb and drain_spec.rb, the grace period in drain_deadlines_spec.rb.
RSpec.describe "Drain signals:" do
  let(:echo) { Backends.echo }
  let(:proxy) { ScriptedProxy.start }

  def relay
    connect.write(ScriptedProxy.route_to(echo)).tap do |client|
      expect(client.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
    end
  end

  def received(name)
    /\AINFO Received #{name} signal\. No longer accepting new connections\.\z/
  end

  # QUIT exits with 0; the other signals end the process by their default action.
  def ended_by(name)
    name == "QUIT" ? be_success : have_attributes(termsig: Signal.list[name])
  end

  %w[QUIT TERM INT].each do |name|
    it "#{name} ends a server at once while its config loads" do
      starting = ProxyProcess.new("$stdout.sync = true; puts 'loading'; sleep\nproxy { |data| { :noop => true } }")
      eventually { starting.stdout.include?("loading\n") }
      starting.signal(name)
      expect(starting.wait).to ended_by(name)
      expect(starting.stderr).to eq ""
    end

    it "#{name} ends a server at once while its config computes" do
      starting = ProxyProcess.new("$stdout.sync = true; puts 'loading'; loop {}\nproxy { |data| { :noop => true } }")
      eventually { starting.stdout.include?("loading\n") }
      starting.signal(name)
      expect(starting.wait).to ended_by(name)
      expect(starting.stderr).to eq ""
    end
  end

  %w[QUIT TERM].each do |name|
    it "#{name} does not cancel the answer of a sleeping block" do
      client = connect.write("puts 'asleep'; sleep 0.3; { :close => 'slept' }\n")
      eventually { proxy.stdout.include?("asleep\n") }
      proxy.signal(name)
      expect(client.read_all).to eq "slept"
      expect(proxy.wait).to be_success
    end

    it "#{name} does not cancel the answer of a computing block" do
      compute = "ending = Time.now + 0.3; nil until Time.now > ending"
      client = connect.write("puts 'computing'; #{compute}; { :close => 'computed' }\n")
      eventually { proxy.stdout.include?("computing\n") }
      proxy.signal(name)
      expect(client.read_all).to eq "computed"
      expect(proxy.wait).to be_success
    end

    it "#{name} does not cancel the clients that wait for the block" do
      clients = Array.new(10) { |number| connect.write("sleep 0.05; { :close => 'number #{number}' }\n") }
      clients.each { |client| proxy.await("INFO Accepted #{client.address}") }
      proxy.signal(name)
      expect(clients.map(&:read_all)).to eq Array.new(10) { |number| "number #{number}" }
      expect(proxy.wait).to be_success
    end
  end

  # A second INT is not among these.
  [%w[QUIT QUIT], %w[TERM TERM], %w[QUIT TERM], %w[TERM QUIT], %w[QUIT INT], %w[INT QUIT], %w[INT TERM]].each do |both|
    it "#{both.join(", then ")}: the server waits for its connections and ends with the last" do
      client = relay
      both.uniq.each do |name|
        proxy.signal(name)
        proxy.await(received(name))
      end
      proxy.signal(both.last) if both.uniq.one?
      expect(client.write("still there?").read(12)).to eq "still there?"
      expect(proxy).to be_running
      client.close
      expect(proxy.wait).to be_success
      expect(proxy.lines.last).to eq "INFO Waiting for 0 connections to finish."
    end
  end

  it "twenty signals at once end the server once" do
    client = relay
    10.times { %w[QUIT TERM].each { |name| proxy.signal(name) } }
    proxy.await(received("TERM"))
    expect(client.write("still there?").read(12)).to eq "still there?"
    client.close
    expect(proxy.wait).to be_success
    expect(proxy.stderr).to eq ""
  end

  it "a signal does not interrupt a callback" do
    closing = Backends.closing
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data| { :remote => #{closing.address.inspect} } }
      proxy_connect_error { |remote| puts "begins"; sleep 0.3; puts "ends" }
    RUBY
    client = connect(proxy).write("x")
    eventually { proxy.stdout.include?("begins\n") }
    proxy.signal("QUIT")
    client.close
    expect(proxy.wait).to be_success
    expect(proxy.stdout).to include "ends\n"
  end
end
