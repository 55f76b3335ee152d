# frozen_string_literal: true

# CONTRACT 4 and 1: proxy_connect_error and proxy_inactivity_error.
RSpec.describe "Failure callbacks:" do
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:echo) { Backends.echo }

  # A proxy in which the request "connect" leads to proxy_connect_error and "inactivity" to proxy_inactivity_error.
  def failing_proxy(connect: "", inactivity: "")
    ProxyProcess.start(<<~RUBY)
      proxy do |data|
        case data
        when "connect" then { :remote => #{closing.address.inspect} }
        when "inactivity" then { :remote => #{silent.address.inspect}, :inactivity_timeout => 0.1 }
        else { :remote => #{echo.address.inspect} }
        end
      end
      #{connect}
      #{inactivity}
    RUBY
  end

  it "receive the remote as a String" do
    note = "{ |remote| puts \"\#{remote.class} \#{remote}\" }"
    proxy = failing_proxy(connect: "proxy_connect_error #{note}", inactivity: "proxy_inactivity_error #{note}")
    ask("connect", proxy)
    eventually { expect(proxy.stdout).to include "String #{closing.address}\n" }
    ask("inactivity", proxy)
    eventually { expect(proxy.stdout).to include "String #{silent.address}\n" }
  end

  it "are optional" do
    proxy = failing_proxy
    expect(ask("connect", proxy)).to eq ""
    expect(ask("inactivity", proxy)).to eq ""
    expect(proxy.errors.size).to eq 2
    expect(connect(proxy).write("x").read(1)).to eq "x"
  end

  it "run after the log line, and finish before the client is closed" do
    proxy = failing_proxy(connect: <<~'RUBY')
      proxy_connect_error { |remote| sleep 0.2; File.write(LOG_FILE, "connect error: #{remote}") }
    RUBY
    ask("connect", proxy)
    expect(File.read(File.join(proxy.dir, "log"))).to eq "connect error: #{closing.address}"
    expect(proxy.errors).to eq ["ERROR Connection with #{closing.address} was terminated prematurely."]
  end

  it "run on the thread that called run, one at a time, like the block" do
    proxy = failing_proxy(connect: <<~'RUBY')
      inside = 0
      proxy_connect_error do |remote|
        inside += 1
        sleep 0.02
        puts "callback #{Thread.current == Thread.main} #{inside}"
        inside -= 1
      end
    RUBY
    Array.new(5) { connect(proxy).write("connect") }.each(&:read_all)
    expect(proxy.settled_log.scan(/^callback.*$/)).to eq ["callback true 1"] * 5
  end

  it "may have no parameter" do
    proxy = failing_proxy(connect: "proxy_connect_error { puts 'called' }")
    ask("connect", proxy)
    eventually { expect(proxy.stdout).to include "called\n" }
  end

  {
    "a StandardError" => ["raise 'broken callback'", "RuntimeError - broken callback"],
    "a ScriptError" => ["raise NotImplementedError, 'not yet'", "NotImplementedError - not yet"],
    "a throw" => ["throw :nobody", "UncaughtThrowError - uncaught throw :nobody"]
  }.each do |kind, (source, line)|
    it "may raise #{kind}: one more ERROR line, and no other effect" do
      proxy = failing_proxy(connect: "proxy_connect_error { #{source} }",
                            inactivity: "proxy_inactivity_error { #{source} }")
      %w[connect inactivity].each do |request|
        proxy.mark_log
        expect(ask(request, proxy)).to eq ""
        eventually { expect(proxy.errors).to match [/#{closing.address}|#{silent.address}/, "ERROR #{line}"] }
      end
      expect(connect(proxy).write("still there?").read(12)).to eq "still there?"
    end
  end

  it "do not delay established connections" do
    gate = File.join(Dir.mktmpdir("proxymachine-spec"), "gate")
    waiting = "sleep 0.01 until File.exist?(#{gate.inspect})"
    proxy = failing_proxy(connect: "proxy_connect_error { puts 'begin'; #{waiting}; { :close => 'end' } }")
    relay = connect(proxy).write("hello")
    relay.read(5)
    failing = connect(proxy).write("connect")
    eventually { expect(proxy.stdout).to include "begin\n" }
    20.times { |round| expect(relay.write(round.to_s.rjust(2)).read(2)).to eq round.to_s.rjust(2) }
    File.write(gate, "")
    expect(failing.read_all).to eq "end"
  ensure
    FileUtils.rm_rf(File.dirname(gate))
  end
end
