# frozen_string_literal: true

require_relative "../../lib/proxymachine/rspec"

# The matchers of RSpec, and what they say.
RSpec.describe "require \"proxymachine/rspec\":" do
  let(:router) { TestingConfig.load(<<~CONFIG) }
    proxy do |data, client|
      case data
      when /\\AGET (\\S+)\\n/ then { :remote => $1 == "/many" ? ["a:1", "b:2"] : "a:1" }
      when /\\AADMIN/ then client.ip == "10.0.0.1" ? "c:3" : :close
      when /\\ADELETE/ then { :close => "405 no\\n" }
      when /\\ACRASH/ then raise KeyError, "crashed"
      else data.size < 4 ? :noop : :close
      end
    end
  CONFIG

  # Returns the message of a failed expectation.
  def failure
    yield
    raise "it did not fail"
  rescue RSpec::Expectations::ExpectationNotMetError => e
    e.message.gsub(/\(\S*(router\.rb:\d+)\)/, '(\1)')
  end

  # The form differs between versions of Ruby.
  def shown(hash) = hash.inspect

  it "route" do
    expect(router).to route("GET /\n")
    expect(router).to route("GET /\n").to("a:1")
    expect(router).to route("GET /many\n").to("a:1")
    expect(router).to route("GET /many\n").to("a:1", "b:2")
    expect(router).to route("GET /many\n").to(%w[a:1 b:2])
    expect(router).to route("GET /\n").to(/\Aa:/)
    expect(router).to route("ADMIN", ip: "10.0.0.1").to(:"c:3")
    expect(router).not_to route("ADMIN")
    expect(router).not_to route("GET /\n").to("a:1", "b:2")
    expect(router).not_to route("GET /\n").to("a:10")
    expect(router).to route("GET /\n").and close("DELETE\n")
  end

  it "route says where the client went instead" do
    expect(failure { expect(router).to route("GET /\n").to("b:2") }).to eq <<~TEXT.chomp
      expected the router to route "GET /\\n" to b:2
      but it connects to a:1, sends it what has come (answer #{shown({ remote: "a:1" })}, 1 call)
    TEXT
    expect(failure { expect(router).to route("ADMIN", ip: "10.0.0.2").to(/c/, "d:4") }).to eq <<~TEXT.chomp
      expected the router to route "ADMIN" (ip: "10.0.0.2") to /c/, d:4
      but it closes the connection (answer :close, 1 call)
    TEXT
    expect(failure { expect(router).to route("CRASH") }).to eq <<~TEXT.chomp
      expected the router to route "CRASH"
      but it closes the connection: the block raised KeyError: crashed (router.rb:6) (1 call)
    TEXT
    expect(failure { expect(router).not_to route("GET /\n") }).to eq <<~TEXT.chomp
      expected the router not to route "GET /\\n"
      but it connects to a:1, sends it what has come (answer #{shown({ remote: "a:1" })}, 1 call)
    TEXT
  end

  it "close" do
    expect(router).to close("ADMIN")
    expect(router).to close("ADMIN").with(nil)
    expect(router).to close("DELETE\n").with("405 no\n")
    expect(router).to close("DELETE\n").with(/405/)
    expect(router).to close("CRASH")
    expect(router).not_to close("DELETE\n").with("404")
    expect(router).not_to close("DELETE\n").with(nil)
    expect(router).not_to close("GET /\n")
  end

  it "close says what was said instead" do
    expect(failure { expect(router).to close("DELETE").with("404 no\n") }).to eq <<~TEXT.chomp
      expected the router to close "DELETE" with "404 no\\n"
      but it says "405 no\\n" and closes the connection (answer #{shown({ close: "405 no\n" })}, 1 call)
    TEXT
    expect(failure { expect(router).to close("DELETE").with(nil) })
      .to start_with 'expected the router to close "DELETE" with no words'
    expect(failure { expect(router).to close("GE") }).to eq <<~TEXT.chomp
      expected the router to close "GE"
      but it waits for more (answer :noop, 1 call)
    TEXT
  end

  it "wait_for" do
    expect(router).to wait_for("GE")
    expect(router).not_to wait_for("GET /\n")
    expect(failure { expect(router).to wait_for("\xFF\0?!") }).to eq <<~TEXT.chomp
      expected the router to wait for more after "\\xFF\\x00?!"
      but it closes the connection (answer :close, 1 call)
    TEXT
  end

  it "decide_alike_however_cut" do
    expect(router).to decide_alike_however_cut("GE")
    expect(router).not_to decide_alike_however_cut("GET /\n")
    expect(failure { expect(router).to decide_alike_however_cut("GET /\n") }).to eq <<~TEXT.chomp
      expected the router to decide alike however "GET /\\n" is cut
      but in one piece: connects to a:1, sends it what has come (answer #{shown({ remote: "a:1" })}, 1 call)
          cut after 4 bytes: closes the connection (answer :close, 1 call)
          also different: after 5 bytes, byte by byte
    TEXT
    expect(failure { expect(router).not_to decide_alike_however_cut("GE") }).to eq <<~TEXT.chomp
      expected the router not to decide alike however "GE" is cut
      but in one piece: waits for more (answer :noop, 1 call)
          the same however 2 bytes are cut
    TEXT
  end

  it "names at most ten further cuts" do
    eager = TestingConfig.load('proxy { |data| data.size < 30 ? :close : "a:1" }')
    expect(failure { expect(eager).to decide_alike_however_cut("x" * 30) })
      .to end_with "also different: #{(2..11).map { |cut| "after #{cut} bytes" }.join(", ")}, 19 more"
  end

  it "describes itself, and refuses what is no router" do
    expect(route("GET /\n").to("a:1").description).to eq 'route "GET /\n" to a:1'
    expect { expect(42).to wait_for("GE") }
      .to raise_error(ArgumentError, "expected what ProxyMachine::Testing.load returns, not 42")
  end
end
