# frozen_string_literal: true

require "net/http"

# A process may outlive the one that took its place: the newest process counts for both.
RSpec.describe "Counts after two upgrades:" do
  let(:echo) { Backends.echo }
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:pidfile) { File.join(dir, "pid") }
  let(:metrics) { URI("#{proxy.await(/Metrics and status on/)[%r{http://\S+}]}metrics") }

  after do
    newest = File.read(pidfile).to_i
    Process.kill(:TERM, newest) if newest != proxy.pid
    FileUtils.rm_rf(dir)
  end

  # Returns the process that has taken over.
  def upgrade(pid)
    Process.kill(:USR2, pid)
    eventually { File.read(pidfile).to_i.tap { |newest| expect(newest).not_to eq pid } }
  end

  # Sent bytes and accepted connections.
  def counts
    page = Net::HTTP.get(metrics)
    [/^proxymachine_sent_bytes_total\{.*\} (\d+)$/, /^proxymachine_connections_accepted_total (\d+)$/]
      .map { |pattern| page[pattern, 1].to_i }
  end

  { "one process" => /Listening on/, "two workers" => /Serving with 2 workers/ }.each do |name, listening|
    describe name do
      let(:proxy) do
        arguments = ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile, "--admin", "127.0.0.1:0"]
        ProxyProcess.new("proxy { #{echo.address.inspect} }", args: arguments, workers: name[/two/] ? 2 : 1)
      end
      let(:port) { proxy.await(listening)[/Listening on 127\.0\.0\.1:(\d+)/, 1].to_i }

      it "includes those of the first process, which ends last" do
        client = Client.new(port).write("relay")
        expect(client.read(5)).to eq "relay"
        metrics
        second = upgrade(proxy.pid)
        upgrade(second)
        eventually { expect(alive?(second)).to be false }
        eventually { expect(counts).to eq [5, 1] }
        expect(client.write(" on").read(3)).to eq " on"
        client.close
        expect(proxy.wait).to be_success
        eventually { expect(counts).to eq [8, 1] }
      end
    end
  end

  it "workers without an admin keep no channel of a process that has ended" do
    proxy = ProxyProcess.new("proxy { { :close => 'x' } }", args: ["-h", "127.0.0.1", "-p", "0", "--pidfile", pidfile],
                                                            workers: 2)
    allow(self).to receive(:proxy).and_return(proxy)
    proxy.await(/Serving with 2 workers/)
    sockets = Array.new(4) do |number|
      before = File.read(pidfile).to_i
      upgrade(before) if number.positive?
      eventually { expect(alive?(before)).to be false } if number.positive?
      eventually { expect(proxy.children(File.read(pidfile).to_i).size).to eq 2 }
      ForeignSockets.count(File.read(pidfile).to_i)
    end
    expect(sockets.last).to be <= sockets.first
  end

  def alive?(pid)
    Process.kill(0, pid) && true
  rescue Errno::ESRCH
    false
  end
end
