# frozen_string_literal: true

# The system calls per connection and per message: counted, not timed, so that a regression fails on every machine.
# ext/engine/tests/costs.rs counts allocations.
RSpec.describe "Cost in system calls:" do
  running(:echo) { Backends.echo }
  running(:proxy) do
    ProxyProcess.start("proxy { |data| { :remote => #{echo.address.inspect} } }")
  end

  before { skip "no process may be traced here" unless SystemCalls.countable?(proxy.pid) }

  def per(units, counts)
    counts.transform_values { |calls| (calls.to_f / units).round(2) }.tap { |each| each.default = 0 }
  end

  it "a connection takes no more than the necessary ones" do
    connections = 100
    counts = SystemCalls.count(proxy.pid) { connections.times { serve } }
    counts.delete("mprotect") if Yjit.enabled? # While it warms up, it compiles.
    each = per(connections, counts)
    # Request, reply and the end of each side. The end of the previous connection may fall into this count.
    # Options of the backend's socket: TCP_NODELAY (1), and where BBR is the default, no pacing on the loopback (1).
    options = bbr? ? 2 : 1
    # The backend's port is ephemeral, so that the engine checks for a connection to itself (1 getsockname).
    most = { "accept4" => 2, "recvfrom" => 4, "sendto" => 2, "socket" => 1, "connect" => 1, "close" => 2,
             "epoll_ctl" => 4, "shutdown" => 1, "setsockopt" => options, "getsockopt" => 0, "getsockname" => 1,
             "ioctl" => 1 }
    most.each { |name, limit| expect(each[name]).to be <= limit + 0.1, "#{each[name]} #{name}, #{each.inspect}" }
    rest = each.values.sum - each["setsockopt"] - each["getsockname"]
    expect(rest).to be <= 35, each.inspect # includes the wake-ups of two threads, and the log
  end

  it "a message takes a read and a write each way, and the waits" do
    messages = 200
    client = connect
    expect(client.write("ping").read(4)).to eq "ping"
    counts = SystemCalls.count(proxy.pid) { messages.times { expect(client.write("ping").read(4)).to eq "ping" } }
    each = per(messages, counts)
    expect(each.slice("recvfrom", "sendto").values).to all(be_within(0.1).of(2))
    expect(each["epoll_wait"]).to be <= 2.1
    expect(each.except("recvfrom", "sendto", "epoll_wait").values.sum).to be <= 0.2, each.inspect
  end

  def bbr?
    File.read("/proc/sys/net/ipv4/tcp_congestion_control").start_with?("bbr")
  end

  # Makes one connection and waits for its end.
  def serve
    client = connect
    expect(client.write("ping").read(4)).to eq "ping"
    client.finish
    expect(client.read_all).to eq ""
  end
end
