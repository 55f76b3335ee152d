# frozen_string_literal: true

# CONTRACT 7: undecided clients do not delay a drain for ever.
RSpec.describe "Drain:" do
  let(:backend) { Backends.once("backend") }
  let(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        sleep 0.5 if data == "slow"
        data.start_with?("wait") && !data.end_with?("!") ? { :noop => true } : { :remote => #{backend.address.inspect} }
      end
    RUBY
  end

  %w[QUIT TERM].each do |name|
    describe "on #{name}" do
      it "closes clients that have sent nothing" do
        clients = Array.new(3) { connect }
        clients.each { |client| proxy.await("INFO Accepted #{client.address}") }
        proxy.signal(name)
        expect(clients).to all(be_ended)
        expect(proxy.wait(within: 8)).to be_success
      end

      it "serves an undecided client that sends the rest of its request" do
        client = connect.write("wait")
        proxy.await(answer_log_line(client, { noop: true }))
        proxy.signal(name)
        proxy.await("INFO Received #{name} signal. No longer accepting new connections.")
        expect(client.write("ed!").read_all).to eq "backend:waited!"
        client.close
        expect(proxy.wait(within: 8)).to be_success
      end

      it "serves a client whose block is running" do
        client = connect.write("slow")
        proxy.await("INFO Accepted #{client.address}")
        proxy.signal(name)
        expect(client.read_all).to eq "backend:slow"
        client.close
        expect(proxy.wait).to be_success
      end
    end
  end

  # The log does not wait for the block. It must take only log lines from the queue, and no decisions.
  it "decides about a client that waits for another client's slow block" do
    dir = Dir.mktmpdir("proxymachine-spec")
    gate = File.join(dir, "gate")
    proxy = ProxyProcess.start(<<~RUBY)
      admin 0
      proxy do |data|
        sleep 0.01 until data != "slow" || File.exist?(#{gate.inspect})
        { :close => data }
      end
    RUBY
    slow = connect(proxy).write("slow")
    proxy.await("INFO Accepted #{slow.address}")
    waiting = connect(proxy).write("waiting")
    eventually { Admin.status(proxy)["connections"]["total"] == 2 }
    proxy.signal("QUIT")
    proxy.await(/INFO Received QUIT signal/)
    File.write(gate, "")
    expect([slow, waiting].map(&:read_all)).to eq %w[slow waiting]
    expect(proxy.wait).to be_success
  ensure
    FileUtils.rm_rf(dir)
  end

  it "logs the number of remaining connections at the signal and at each close" do
    silent = Backends.silent
    proxy = ProxyProcess.start("proxy { |data| { :remote => #{silent.address.inspect} } }")
    clients = Array.new(3) { connect(proxy).write("x") }
    eventually { expect(proxy.lines.grep(/Successful/).size).to eq 3 }
    proxy.signal("QUIT")
    proxy.await("INFO Waiting for 3 connections to finish.")
    clients.each_with_index do |client, index|
      client.reset
      proxy.await("INFO Waiting for #{2 - index} connections to finish.")
    end
    proxy.wait
    expect(proxy.lines.grep(/Waiting/).map { |line| line[/\d+/] }).to eq %w[3 2 1 0]
  end

  it "keeps the process title up to date", :process_title do
    silent = Backends.silent
    proxy = ProxyProcess.start("proxy { |data| { :remote => #{silent.address.inspect} } }")
    clients = Array.new(2) { connect(proxy).write("x") }
    eventually { expect(proxy.connections).to eq 2 }
    proxy.signal("QUIT")
    clients.first.reset
    eventually { expect(proxy.connections).to eq 1 }
    expect(proxy).to be_running
  end
end
