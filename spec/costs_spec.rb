# frozen_string_literal: true

# What a connection and a message cost in system calls: counted, not timed, so that a regression fails on any machine.
# The allocations are counted in ext/engine/tests/costs.rs.
RSpec.describe "The cost" do
  running(:echo) { Backends.echo }
  running(:proxy) do
    ProxyProcess.start("proxy { |data| { :remote => #{echo.address.inspect} } }")
  end

  before { skip "no process may be traced here" unless SystemCalls.countable?(proxy.pid) }

  def per(units, counts)
    counts.transform_values { |calls| (calls.to_f / units).round(2) }.tap { |each| each.default = 0 }
  end

  it "of a connection is no more system calls than it takes" do
    connections = 100
    counts = SystemCalls.count(proxy.pid) { connections.times { serve } }
    each = per(connections, counts)
    # The request and the answer, and an end of each side. The connection before may end in this one's count.
    # The backend's socket is told of Nagle (1), how to notice a vanished peer (3), and where BBR is the default, not
    # to pace what stays within the machine (1).
    options = bbr? ? 5 : 4
    # Its port is one that connections get, so it is made sure that the connection is not with itself (1 getsockname).
    most = { "accept4" => 2, "recvfrom" => 4, "sendto" => 2, "socket" => 1, "connect" => 1, "close" => 2,
             "epoll_ctl" => 4, "shutdown" => 1, "setsockopt" => options, "getsockopt" => 0, "getsockname" => 1,
             "ioctl" => 1 }
    most.each { |name, limit| expect(each[name]).to be <= limit + 0.1, "#{each[name]} #{name}, #{each.inspect}" }
    rest = each.values.sum - each["setsockopt"] - each["getsockname"]
    expect(rest).to be <= 35, each.inspect # with what it takes to wake two sleeping threads, and the log
  end

  it "of a message is a read and a write each way, and waiting" do
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

  # One connection, to its end.
  def serve
    client = connect
    expect(client.write("ping").read(4)).to eq "ping"
    client.finish
    expect(client.read_all).to eq ""
  end
end
