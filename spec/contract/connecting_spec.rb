# frozen_string_literal: true

# CONTRACT 4: connection attempts, and their failure.
RSpec.describe "Dial:" do
  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        puts "asked with \#{data.inspect}"
        case data
        when /\\Ablack hole/ then { :remote => #{black_hole.address.inspect}, :connect_timeout => 0.1 }
        when /\\Alate (.*:\\d+) / then { :remote => $1, :retries => 1000 } # enough for a busy machine
        when /\\Aunknown/ then { :remote => "#{"x" * 64}.invalid:80" }
        else { :remote => #{refused.address.inspect} }
        end
      end
      proxy_connect_error { |remote| puts "connect error with \#{remote}" }
      proxy_inactivity_error { |remote| puts "inactivity with \#{remote}" }
    RUBY
  end

  def attempts(remote)
    proxy.settle.lines.map { |line| line[/\A\w+ (Establishing|Retrying|Connect) .*#{Regexp.escape(remote)}.*/] }.compact
  end

  # The log lines of eleven failed attempts.
  def eleven_attempts(remote)
    retries = (1..10).flat_map do |number|
      ["WARN Retrying connection with #{remote} (##{number})", "INFO Establishing new connection with #{remote}"]
    end
    ["INFO Establishing new connection with #{remote}", *retries, "ERROR Connect #{remote} failed after ten attempts."]
  end

  describe "a backend that refuses" do
    it "is tried eleven times, each with a log line; then the client is closed and the callback called" do
      started = Eventually.monotonic
      expect(ask("x")).to eq ""
      expect(Eventually.monotonic - started).to be >= 1.0
      expect(attempts(refused.address)).to eq eleven_attempts(refused.address)
      expect(proxy.settled_log.scan("connect error with #{refused.address}\n").size).to eq 1
      expect(proxy.settled_log.scan("asked with").size).to eq 1
    end

    it "is reached when it comes up meanwhile, and receives all data in order" do
      late = Backends.refusing { |session| session.write("late:#{session.read_until(50)}") }
      request = "late #{late.address} "
      client = connect.write(request)
      proxy.await("WARN Retrying connection with #{late.address} (#2)")
      client.write("second ")
      proxy.await("WARN Retrying connection with #{late.address} (#3)")
      client.write("third ".ljust(50 - request.size - 7, "."))
      late.listen
      expect(client.read_all).to eq "late:#{"#{request}second third ".ljust(50, ".")}"
      expect(proxy.errors).to eq []
      expect(proxy.settled_log.scan("asked with").size).to eq 1
      expect(proxy.settled_log).not_to include "connect error"
    end
  end

  describe "a backend that neither accepts nor refuses" do
    it "costs :connect_timeout per attempt, and fails like one that refuses" do
      started = Eventually.monotonic
      expect(ask("black hole")).to eq ""
      expect(Eventually.monotonic - started).to be >= (11 * 0.1) + 1.0
      expect(attempts(black_hole.address)).to eq eleven_attempts(black_hole.address)
      expect(proxy.settled_log).to include "connect error with #{black_hole.address}\n"
    end
  end

  describe "a backend whose name does not resolve" do
    it "is resolved at each attempt, and fails like one that refuses" do
      remote = "#{"x" * 64}.invalid:80"
      expect(ask("unknown")).to eq ""
      expect(attempts(remote)).to eq eleven_attempts(remote)
      expect(proxy.settled_log).to include "connect error with #{remote}\n"
      expect(proxy).to be_running
    end
  end

  it "other clients are served between the attempts" do
    quick = Backends.once("quick")
    waiting = connect.write("x")
    proxy.await("WARN Retrying connection with #{refused.address} (#1)")
    expect(ask("late #{quick.address} ")).to start_with "quick:"
    expect(attempts(refused.address).size).to be < 22
    expect(waiting.read_all).to eq ""
  end
end
