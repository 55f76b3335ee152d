# frozen_string_literal: true

# One example per fault: too much data or too many connections at once.
RSpec.describe "Flood:" do
  mebibyte = 1024 * 1024

  running(:proxy) { ScriptedProxy.start("slow_block 0; AWAKE = LOG_FILE") }
  check_fault_isolation(:proxy)

  let(:alarm) { File.join(proxy.dir, "log") }

  # Runs while a block sleeps, so that every decision waits for Ruby.
  def while_a_block_sleeps
    sleeper = connect.write("puts 'asleep'; sleep 0.01 until File.exist?(AWAKE); { :close => 'awake' }\n")
    eventually { proxy.recent_log.include?("asleep\n") }
    yield
  ensure
    File.write(alarm, "")
    expect(sleeper.read_all).to eq "awake"
    File.delete(alarm)
  end

  def connect(to = proxy)
    FaultyPeer.connect(to.port)
  end

  # The peak memory of the process.
  def peak_bytes
    File.read("/proc/#{proxy.pid}/status")[/^VmHWM:\s+(\d+) kB/, 1].to_i * 1024
  end

  # Writes until the proxy accepts no more. Returns the number of bytes.
  def flood(client, size)
    block = "x" * 65_536
    sent = 0
    sent += client.socket.write(block) while sent < size
    sent
  rescue Errno::EPIPE, Errno::ECONNRESET
    sent
  end

  it "64 MiB before the decision are refused after 1 MiB, in bounded memory" do
    client = connect
    address = client.address
    before = peak_bytes
    expect(flood(client, 64 * mebibyte)).to be <= 64 * mebibyte
    expect(client).to be_ended
    line = eventually { problems.first }
    expect(line).to match(/\AERROR #{address} no decision after \d+ bytes \(limit #{mebibyte}\)/)
    expect_problems(line)
    expect(peak_bytes - before).to be < 24 * mebibyte
  end

  it "64 MiB before the decision do not affect other connections" do
    backend = FaultyBackend.new
    other = connect.write(ScriptedProxy.route_to(backend))
    server = backend.accept
    server.read(ScriptedProxy.route_to(backend).size)
    flooding = Thread.new { flood(connect, 64 * mebibyte) }
    100.times do
      server.write("message")
      expect(other.read(7)).to eq "message"
    end
    flooding.join
    expect_problems(eventually { problems.first })
  end

  it "the data of clients that disconnect before the block is called is freed" do
    while_a_block_sleeps do
      before = proxy.resident_bytes
      8000.times { connect.write("x" * 16_000).reset }
      expect(proxy.resident_bytes - before).to be < 48 * mebibyte
    end
  end

  # While SIGSTOP holds the process, the kernel still establishes connections and keeps them in the backlog.
  def while_stopped
    proxy.signal("STOP")
    yield
  ensure
    proxy.signal("CONT")
  end

  it "connections reset in the backlog, before accept, affect no other connection" do
    patient = nil
    while_stopped do
      200.times { connect.reset }
      200.times { connect.write("x").reset }
      patient = connect.write("{ :close => 'served' }\n")
    end
    expect(patient.read_all).to eq "served"
  end

  it "connections half-closed in the backlog affect no other connection" do
    clients = []
    while_stopped do
      clients += Array.new(100) { connect.finish }
      clients += Array.new(100) { connect.write("{ :close => 'served' }\n").finish }
    end
    expect(clients.map(&:read_all)).to eq [""] * 100 + ["served"] * 100
  end

  it "a full backlog that is then reset affects no other connection" do
    waiting = []
    while_stopped do
      address = Addrinfo.tcp("127.0.0.1", proxy.port)
      loop do
        waiting << Socket.new(:INET, :STREAM)
        waiting.last.connect_nonblock(address, exception: false)
        break unless waiting.last.wait_writable(0.5)
      end
      waiting.each { |socket| socket.setsockopt(Socket::Option.linger(true, 0)) && socket.close }
    rescue Errno::EMFILE
      skip "the backlog holds more connections than a process here may open"
    end
    expect(waiting.size).to be > 128
  ensure
    waiting.each(&:close)
  end
end
