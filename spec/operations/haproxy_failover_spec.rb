# frozen_string_literal: true

# Two instances behind a real HAProxy that sends PROXY headers. One instance is killed.
RSpec.describe "Failover behind HAProxy:" do
  let(:echo) { Backends.echo }
  let(:config) { <<~RUBY }
    proxy do |data, client|
      case data
      when "relay" then { :remote => #{echo.address.inspect}, :reply => "\#{Process.pid}".rjust(8) }
      else { :close => "\#{Process.pid} \#{client.ip} \#{client.port}" }
      end
    end
    listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.0/8"]
  RUBY
  let(:fleet) { Array.new(2) { ProxyProcess.new(config, args: []) } }
  let(:balancer) do
    ports = fleet.map { |member| eventually { member.log[/Listening on \S*:(\d+)$/, 1] } }
    servers = ports.map { |port| "server s#{port} 127.0.0.1:#{port} send-proxy-v2 check inter 500 fall 4" }
    settings = ["mode tcp", "option redispatch", "retries 3", "bind fd@fleet", *servers]
    Haproxy.new("listen fleet\n#{settings.map { |line| "  #{line}\n" }.join}")
  end

  # Requests through HAProxy: the reply, and whether it has the client's address.
  def visit
    client = Client.new(balancer.port(:fleet))
    address = client.address.split(":")
    pid, *seen = client.write("x").read_all.split
    [pid.to_i, seen == address]
  rescue Errno::ECONNRESET
    [0, false]
  end

  # Long-lived clients, grouped by the instance that serves them.
  def relayed
    clients = Array.new(8) { Client.new(balancer.port(:fleet)).write("relay") }
    clients.group_by { |client| client.read(13).to_i }
  end

  it "only the connections of the killed instance are lost, and the clients' addresses are known" do
    balancer
    eventually { expect(Array.new(2) { visit.first }).to match_array(fleet.map(&:pid)) }
    held = relayed
    expect(held.keys).to match_array(fleet.map(&:pid))
    is_over = false
    answers = Queue.new
    visitors = Array.new(3) { Thread.new { answers << visit until is_over } }
    eventually { answers.size > 50 }
    dead, alive = fleet
    dead.signal("KILL")
    expect(held.fetch(dead.pid)).to all be_ended
    eventually { expect(Array.new(4) { visit }).to eq [[alive.pid, true]] * 4 }
    is_over = true
    visitors.each(&:join)
    lost, answered = Array.new(answers.size) { answers.pop }.partition { |pid,| pid.zero? }
    # The clients of the killed instance at that moment, and those that arrived while its sockets were being closed.
    expect(lost.size).to be <= 2 * visitors.size
    expect(answered.uniq).to contain_exactly([alive.pid, true], [dead.pid, true])
    held.fetch(alive.pid).each { |client| expect(client.write("still there?").read(12)).to eq "still there?" }
  end
end
