# frozen_string_literal: true

# CONTRACT 4: attempts, and what happens when they fail.
RSpec.describe "Connecting to a backend" do
  running(:refused) { Backends.refusing }
  running(:black_hole) { Backends.black_hole }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        puts "asked with \#{data.inspect}"
        case data
        when /\\Ablack hole/ then { :remote => #{black_hole.address.inspect}, :connect_timeout => 0.1 }
        when /\\Alate (.*:\\d+) / then { :remote => $1 }
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

  # The lines of eleven attempts that all fail.
  def eleven_attempts(remote)
    retries = (1..10).flat_map do |number|
      ["WARN Retrying connection with #{remote} (##{number})", "INFO Establishing new connection with #{remote}"]
    end
    ["INFO Establishing new connection with #{remote}", *retries, "ERROR Connect #{remote} failed after ten attempts."]
  end

  describe "that refuses" do
    it "makes eleven attempts, logs each, closes the client and calls back" do
      started = Eventually.monotonic
      expect(ask("x")).to eq ""
      expect(Eventually.monotonic - started).to be >= 1.0
      expect(attempts(refused.address)).to eq eleven_attempts(refused.address)
      expect(proxy.settled_log.scan("connect error with #{refused.address}\n").size).to eq 1
      expect(proxy.settled_log.scan("asked with").size).to eq 1
    end

    it "reaches a backend that comes up meanwhile, and replays everything the client sent, in order" do
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

  describe "that neither accepts nor refuses" do
    it "ends each attempt after :connect_timeout, then gives up like with one that refuses" do
      started = Eventually.monotonic
      expect(ask("black hole")).to eq ""
      expect(Eventually.monotonic - started).to be >= (11 * 0.1) + 1.0
      expect(attempts(black_hole.address)).to eq eleven_attempts(black_hole.address)
      expect(proxy.settled_log).to include "connect error with #{black_hole.address}\n"
    end
  end

  describe "whose name is not known" do
    it "tries as often, asking anew each time, and survives" do
      remote = "#{"x" * 64}.invalid:80"
      expect(ask("unknown")).to eq ""
      expect(attempts(remote)).to eq eleven_attempts(remote)
      expect(proxy.settled_log).to include "connect error with #{remote}\n"
      expect(proxy).to be_running
    end
  end

  it "serves other clients between the attempts" do
    quick = Backends.once("quick")
    waiting = connect.write("x")
    proxy.await("WARN Retrying connection with #{refused.address} (#1)")
    expect(ask("late #{quick.address} ")).to start_with "quick:"
    expect(attempts(refused.address).size).to be < 22
    expect(waiting.read_all).to eq ""
  end
end
