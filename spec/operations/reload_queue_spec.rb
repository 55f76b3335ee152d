# frozen_string_literal: true

# A listener that a reload takes away while `max_connections` is reached: clients in its queue are served.
RSpec.describe "Clients in the queue of a listener that a reload takes away" do
  let(:limit) { "max_connections 1\nproxy { |data| { :close => \"served \#{data}\" } }\n" }
  let(:proxy) { ProxyProcess.start("#{limit}listen '127.0.0.1:0', :name => :gone\n#{other}") }
  let(:other) { "proxy(:gone) { |data| { :close => \"served \#{data}\" } }\n" }

  def reload(config, count: 1)
    File.write(proxy.config_path, config)
    proxy.signal("HUP")
    eventually { expect(proxy.lines.grep(/INFO Reloaded/).size).to eq count }
  end

  # A client that takes the only place.
  def occupy
    connect.tap { proxy.await(/\AINFO Accepted/) }
  end

  def gone_port
    listen_addresses(proxy).last[/\d+\z/].to_i
  end

  it "are served as room comes, and then the port refuses" do
    first = occupy
    waiting = Array.new(3) { Client.new(gone_port).write("x") }
    reload(limit)
    first.close
    expect(waiting.map(&:read_all)).to all eq("served x")
    eventually { expect { Client.new(gone_port) }.to raise_error(Errno::ECONNREFUSED) }
    expect(ask("y")).to eq "served y"
  end

  it "are served after a reload that replaces the listener by another" do
    first = occupy
    waiting = Array.new(3) { Client.new(gone_port).write("x") }
    reload("#{limit}listen '127.0.0.2:0', :name => :new\nproxy(:new) { :close }")
    first.close
    expect(waiting.map(&:read_all)).to all eq("served x")
  end

  it "are served on a Unix socket, whose file then disappears" do
    path = File.join(Dir.mktmpdir("proxymachine-spec"), "socket")
    proxy = ProxyProcess.start("#{limit}listen 'unix:#{path}', :name => :gone\n#{other}")
    first = Client.new(proxy.port)
    proxy.await(/\AINFO Accepted/)
    waiting = Array.new(3) { UNIXSocket.new(path).tap { |socket| socket.write("x") } }
    File.write(proxy.config_path, limit)
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
    first.close
    expect(waiting.map(&:read)).to all eq("served x")
    eventually { expect(File.exist?(path)).to be false }
  end

  it "do not keep the next reload from taking the listener back" do
    first = occupy
    port = gone_port
    waiting = Array.new(3) { Client.new(port).write("x") }
    reload(limit)
    reload("#{limit}listen '127.0.0.1:#{port}', :name => :gone\n#{other}", count: 2)
    later = Array.new(20) { Client.new(port).write("y") }
    first.close
    expect(waiting.map(&:read_all)).to all eq("served x")
    expect(later.map(&:read_all)).to all eq("served y")
    expect(ask("z")).to eq "served z"
  end

  it "do not delay the end of the server" do
    occupy
    Client.new(gone_port).write("x")
    reload(limit)
    proxy.signal("TERM")
    expect(proxy.wait(within: 20)).not_to be_nil
  end
end
