# frozen_string_literal: true

# CONTRACT 3: an exception in the block ends one connection and logs one ERROR line.
RSpec.describe "Exception in the block:" do
  running(:backend) { Backends.echo }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      require "timeout"
      class Router
        class Trouble < StandardError; end
      end
      def deeper(depth) deeper(depth + 1) + 1 end
      raising = {
        "standard"  => -> { raise "boom" },
        "lines"     => -> { raise "first line\\nsecond line" },
        "plain"     => -> { raise Router::Trouble },
        "empty"     => -> { raise Router::Trouble, "" },
        "nil"       => -> { nil.no_such_method },
        "zero"      => -> { 1 / 0 },
        "binary"    => -> { raise "\\xff\\xfe".b },
        "system"    => -> { File.read("/no/such/file") },
        "timeout"   => -> { Timeout.timeout(0.05) { sleep } },
        "throw"     => -> { throw :nobody_catches },
        "not implemented" => -> { raise NotImplementedError, "later" },
        "load"      => -> { require "no/such/library" },
        "syntax"    => -> { eval("1 +") },
        "memory"    => -> { raise NoMemoryError, "failed to allocate memory" },
        "stack"     => -> { deeper(0) },
        "exception" => -> { raise Exception, "the mother of all" },
        "security"  => -> { raise SecurityError, "not allowed" },
        "encoding"  => -> { "\\xff".encode("UTF-16") }
      }
      proxy do |data|
        raising.fetch(data).call if raising.key?(data)
        { :remote => #{backend.address.inspect} }
      end
      proxy_connect_error { |remote| puts "callback" }
    RUBY
  end

  # Returns the one ERROR line of an exception. The connection is closed, and the next one is served.
  def error_of(request)
    expect(ask(request)).to eq ""
    expect(connect.write("still there?").read(12)).to eq "still there?"
    expect(proxy.errors.size).to eq 1
    expect(proxy.settled_log).not_to include "callback"
    proxy.errors.first
  end

  {
    "standard" => "RuntimeError - boom",
    "lines" => "RuntimeError - first line",
    "plain" => "Router::Trouble - Router::Trouble",
    "zero" => "ZeroDivisionError - divided by 0",
    "system" => "Errno::ENOENT - No such file or directory @ rb_sysopen - /no/such/file",
    "timeout" => "Timeout::Error - execution expired",
    "throw" => "UncaughtThrowError - uncaught throw :nobody_catches",
    "not implemented" => "NotImplementedError - later",
    "load" => "LoadError - cannot load such file -- no/such/library",
    "memory" => "NoMemoryError - failed to allocate memory",
    "stack" => "SystemStackError - stack level too deep",
    "security" => "SecurityError - not allowed",
    "exception" => "Exception - the mother of all"
  }.each do |request, line|
    it "closes the connection and logs #{line.inspect}" do
      expect(error_of(request)).to eq "ERROR #{line}"
    end
  end

  it "logs the class and the first line of the message of a NoMethodError" do
    expect(error_of("nil")).to match(/\AERROR NoMethodError - undefined method .no_such_method. for nil/)
  end

  it "logs a syntax error in code that the block evaluates" do
    expect(error_of("syntax")).to match(/\AERROR SyntaxError - /)
  end

  it "logs an exception whose message is empty or not text" do
    expect(error_of("empty")).to start_with "ERROR Router::Trouble - "
    proxy.mark_log
    expect(error_of("binary")).to start_with "ERROR RuntimeError - "
    proxy.mark_log
    expect(error_of("encoding")).to start_with "ERROR Encoding::InvalidByteSequenceError - "
  end

  it "does not affect established connections" do
    relay = connect.write("hello")
    expect(relay.read(5)).to eq "hello"
    %w[standard stack load].each { |request| ask(request) }
    expect(relay.write("again").read(5)).to eq "again"
  end

  it "does not affect the server after a hundred exceptions" do
    100.times { expect(ask("standard")).to eq "" }
    expect(proxy.errors.uniq).to eq ["ERROR RuntimeError - boom"]
    expect(connect.write("still there?").read(12)).to eq "still there?"
  end
end
