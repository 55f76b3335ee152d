# frozen_string_literal: true

# What the main process of `--workers` waits for holds up neither decisions nor the end of the server.
RSpec.describe "--workers:" do
  let(:serving) { "proxy { |data| { :close => \"served \#{data}\" } }\n" }
  let(:proxy) { ProxyProcess.new(serving, args: %w[-h 127.0.0.1 -p 0 --workers 2]) }
  let(:ports) { proxy.await(/Serving with 2 workers/).scan(/:(\d+)\b/).flatten.map(&:to_i) }

  def hang_a_reload
    ports
    marker = File.join(proxy.dir, "loading")
    File.write(proxy.config_path, "File.write(#{marker.inspect}, '')\nsleep\n#{serving}")
    proxy.signal("HUP")
    eventually { expect(File.exist?(marker)).to be true }
  end

  it "a config that never loads holds up no decision" do
    hang_a_reload
    20.times { expect(Client.new(ports[0]).write("x").read_all).to eq "served x" }
  end

  %w[TERM QUIT].each do |signal|
    it "a config that never loads holds up no end by #{signal}" do
      hang_a_reload
      proxy.signal(signal)
      expect(proxy.wait(within: 20)).to be_success
    end
  end

  it "a config that never loads at the start holds up no end" do
    proxy = ProxyProcess.new("puts 'loading'; $stdout.flush; sleep", args: %w[-h 127.0.0.1 -p 0 --workers 2])
    eventually { expect(proxy.log).to include "loading" }
    proxy.signal("TERM")
    expect(proxy.wait(within: 20)).not_to be_nil
  end

  it "clients in the queue of a listener that a reload takes away are served" do
    limit = "max_connections 1\n#{serving}"
    wanted, gone = ports_of("#{limit}listen '127.0.0.1:0'")
    first = Array.new(2) { Client.new(wanted) } # One for each worker.
    eventually { expect(proxy.lines.grep(/\AINFO Accepted/).size).to eq 2 }
    waiting = Array.new(3) { Client.new(gone).write("x") }
    reload(limit)
    first.each(&:close)
    expect(waiting.map(&:read_all)).to all eq("served x")
  end

  it "a listener that a reload takes away admits no client, while the workers before have no room" do
    limit = "max_connections 1\n#{serving}"
    wanted, gone = ports_of("#{limit}listen '127.0.0.1:0'")
    first = Array.new(2) { Client.new(wanted) } # One for each worker.
    eventually { expect(proxy.lines.grep(/\AINFO Accepted/).size).to eq 2 }
    waiting = Client.new(gone).write("x")
    reload(limit)
    late = Socket.new(:INET, :STREAM)
    expect(late.connect_nonblock(Addrinfo.tcp("127.0.0.1", gone), exception: false)).to eq :wait_writable
    expect(late.wait_writable(0.5)).to be_nil # On the loopback a client is admitted at once.
    first.each(&:close)
    expect(waiting.read_all).to eq "served x"
    late.close
    eventually { expect { Socket.tcp("127.0.0.1", gone, &:close) }.to raise_error(Errno::ECONNREFUSED) }
  ensure
    late&.close
  end

  # Starts to listen at one more address, and returns the ports. The workers before, which could accept from the queue
  # that they share with the new ones, have ended.
  def ports_of(config)
    ports
    line = reload(config)
    eventually { expect(proxy.children.size).to eq 2 }
    line.scan(/:(\d+)\b/).flatten.map(&:to_i).last(2)
  end

  def reload(config)
    File.write(proxy.config_path, config)
    before = proxy.lines.grep(/INFO Reloaded/).size
    proxy.signal("HUP")
    eventually { proxy.lines.grep(/INFO Reloaded/)[before] }
  end
end
