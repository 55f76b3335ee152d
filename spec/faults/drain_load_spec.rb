# frozen_string_literal: true

# CONTRACT 7 under load: at the signal there are connections in each phase. Each ends in its own way and with all its
# bytes, and the server ends with the last of them.
RSpec.describe "Drain under load:" do
  payload = Payload.bytes(1024 * 1024)
  long = 16 * 1024 * 1024 # more than the kernel's buffers hold

  running(:echo) { Backends.echo }
  running(:patient) { Backends.reply_at_eof("patient") }
  running(:slow) do
    # Sends part of its reply, and the rest when more data arrives.
    Backend.new do |session|
      session.read
      session.write("first ")
      session.write("and last") if session.read
    end
  end

  let(:proxy) { ScriptedProxy.start }
  let(:late) { Backends.black_hole }

  def read_lines(clients, pattern)
    eventually { expect(proxy.lines.grep(pattern).size).to be >= clients.size }
  end

  def begun(count, request, pattern)
    clients = Array.new(count) { connect.write(request) }
    read_lines(clients, pattern)
    clients
  end

  # Threads that read so slowly that they are not done before the signal.
  def sipping(clients)
    clients.map do |client|
      Thread.new do
        Thread.current.report_on_exception = false # Thread#value raises it
        size = 0
        until Thread.current[:gulping]
          size += client.read(100_000).size
          sleep 0.1
        end
        size + client.read_all.size
      end
    end
  end

  def gulping(threads)
    threads.each { |thread| thread[:gulping] = true }.map(&:value)
  end

  # Opens this many clients in each phase.
  def phases(long)
    connected_to = ->(backend) { /\AINFO Successful connection to #{backend.address}/ }
    {
      silent: Array.new(10) { connect },
      undecided: begun(10, "{ :close => 'deci", /noop/),
      relaying: begun(10, ScriptedProxy.route_to(slow), connected_to.call(slow)),
      half_closed: begun(10, ScriptedProxy.route_to(patient), connected_to.call(patient)),
      bulk: begun(3, ScriptedProxy.route_to(echo, data: "echo:"), connected_to.call(echo)),
      parting: sipping(begun(2, "{ :close => 'w' * #{long} }\n", /\AINFO \S+ \{:?close/)),
      # May connect late, because the intervals between SYNs grow.
      connecting: begun(10, ScriptedProxy.route_to(late), /\AINFO Establishing new connection with #{late.address}/),
      asked: Array.new(3) { accepted("sleep 0.1; { :close => 'asked' }\n") }
    }
  end

  # Waits for the client's own log line: a connection in the backlog at the signal is refused.
  def accepted(request)
    connect.write(request).tap { |client| proxy.await("INFO Accepted #{client.address}") }
  end

  %w[QUIT TERM INT].each do |name|
    it "#{name} loses no byte, and ends the server with its last connection" do
      all = phases(long)
      proxy.signal(name)
      proxy.await("INFO Received #{name} signal. No longer accepting new connections.")
      late.start_accepting { |session| session.write("late:#{session.read}") }

      expect(all[:silent]).to all(be_ended)
      all[:undecided].each { |client| client.write("ded' }\n") }
      expect(all[:undecided].map(&:read_all)).to all(eq("decided"))
      expect(all[:asked].map(&:read_all)).to all(eq("asked"))
      expect(gulping(all[:parting])).to all(eq(long))
      expect(all[:connecting].map(&:read_all)).to all(eq("late:#{ScriptedProxy.route_to(late)}"))
      all[:connecting].each(&:close)
      all[:half_closed].each(&:finish)
      expect(all[:half_closed].map(&:read_all)).to all(eq("patient:#{ScriptedProxy.route_to(patient)}"))
      echoes = all[:bulk].map { |client| Thread.new { Payload.exchange(client.socket, payload) } }
      expect(echoes.map { |thread| Payload.digest(thread.value) }).to all(eq(Payload.digest("echo:".b + payload)))

      expect(proxy).to be_running # for the remaining connections
      all[:relaying].each { |client| client.write("go on") }
      expect(all[:relaying].map(&:read_all)).to all(eq("first and last"))
      all[:relaying].each(&:close)
      expect(proxy.wait).to be_success
      expect(proxy.lines.last).to eq "INFO Waiting for 0 connections to finish."
      expect(proxy.stderr).to eq ""
    end
  end

  it "QUIT serves or refuses each connection that arrives meanwhile, and hangs none" do
    outcomes = Queue.new
    visitors = Array.new(4) do
      Thread.new { 500.times { outcomes << visit } }
    end
    eventually { outcomes.size > 200 }
    proxy.signal("QUIT")
    visitors.each(&:join)
    expect(proxy.wait).to be_success
    seen = Array.new(outcomes.size) { outcomes.pop }
    expect(seen.tally.keys).to contain_exactly("served", :refused).or contain_exactly("served", :refused, :reset)
  end

  # Returns the outcome of a new client. Client#read_all has a deadline.
  def visit
    text = ask("{ :close => 'served' }\n")
    text.empty? ? :reset : text
  rescue Errno::ECONNREFUSED
    :refused
  rescue Errno::ECONNRESET, Errno::EPIPE
    :reset
  end
end
