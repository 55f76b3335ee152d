# frozen_string_literal: true

# CONTRACT 4 and 1: the two error callbacks.
RSpec.describe "The error callbacks" do
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:echo) { Backends.echo }

  # A proxy whose requests "connect" and "inactivity" end in the respective callback, given as source.
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

  it "get the remote as a String" do
    note = "{ |remote| puts \"\#{remote.class} \#{remote}\" }"
    proxy = failing_proxy(connect: "proxy_connect_error #{note}", inactivity: "proxy_inactivity_error #{note}")
    ask("connect", proxy)
    eventually { expect(proxy.stdout).to include "String #{closing.address}\n" }
    ask("inactivity", proxy)
    eventually { expect(proxy.stdout).to include "String #{silent.address}\n" }
  end

  it "need not be given" do
    proxy = failing_proxy
    expect(ask("connect", proxy)).to eq ""
    expect(ask("inactivity", proxy)).to eq ""
    expect(proxy.errors.size).to eq 2
    expect(connect(proxy).write("x").read(1)).to eq "x"
  end

  it "run after the log line and to their end before the client is closed" do
    proxy = failing_proxy(connect: <<~'RUBY')
      proxy_connect_error { |remote| sleep 0.2; File.write(LOG_FILE, "connect error: #{remote}") }
    RUBY
    ask("connect", proxy)
    expect(File.read(File.join(proxy.dir, "log"))).to eq "connect error: #{closing.address}"
    expect(proxy.errors).to eq ["ERROR Connection with #{closing.address} was terminated prematurely."]
  end

  it "run on the thread that called run, one at a time, as the block does" do
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

  it "may take no parameter" do
    proxy = failing_proxy(connect: "proxy_connect_error { puts 'called' }")
    ask("connect", proxy)
    eventually { expect(proxy.stdout).to include "called\n" }
  end

  {
    "a StandardError" => ["raise 'broken callback'", "RuntimeError - broken callback"],
    "a ScriptError" => ["raise NotImplementedError, 'not yet'", "NotImplementedError - not yet"],
    "a throw" => ["throw :nobody", "UncaughtThrowError - uncaught throw :nobody"]
  }.each do |kind, (source, line)|
    it "may raise #{kind}, which is one error line more, and nothing else" do
      proxy = failing_proxy(connect: "proxy_connect_error { #{source} }",
                            inactivity: "proxy_inactivity_error { #{source} }")
      %w[connect inactivity].each do |request|
        proxy.mark
        expect(ask(request, proxy)).to eq ""
        eventually { expect(proxy.errors).to match [/#{closing.address}|#{silent.address}/, "ERROR #{line}"] }
      end
      expect(connect(proxy).write("still there?").read(12)).to eq "still there?"
    end
  end

  it "hold up no established connection while they run" do
    proxy = failing_proxy(connect: "proxy_connect_error { puts 'begin'; sleep 1; puts 'end' }")
    relay = connect(proxy).write("hello")
    relay.read(5)
    connect(proxy).write("connect")
    eventually { expect(proxy.stdout).to include "begin\n" }
    20.times { |round| expect(relay.write(round.to_s.rjust(2)).read(2)).to eq round.to_s.rjust(2) }
    expect(proxy.stdout).not_to include "end\n"
  end
end
