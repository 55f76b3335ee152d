# frozen_string_literal: true

require "open3"

# Exceptions of every class and kind: one ERROR line, one closed connection, no effect on other connections.
# Ordinary exceptions are in spec/contract/block_errors_spec.rb.
RSpec.describe "Unusual block exceptions:" do
  running(:proxy) do
    ScriptedProxy.start(<<~'RUBY')
      require "timeout"
      # Exceptions with one failing method each.
      %w[message to_s inspect detailed_message full_message backtrace class name is_a? == === hash exception].each do |name|
        Lying = {} unless defined?(Lying)
        Lying[name] = Class.new(StandardError) do
          define_method(name) { |*| ::Kernel.raise "asked for its #{name}" }
        end
      end
      class OutOfTheWay < Exception; end
      class Loud < StandardError; def message() "loud " * 10_000_000 end end
      class Numbered < StandardError; def message() 42 end end
      class Silent < StandardError; def message() nil end end
      class Bare < StandardError; def message() BasicObject.new end end
      class Nameless < StandardError; def self.name() raise "no name" end; def self.to_s() raise "no name" end end
      class Bottomless < StandardError; def message() message end end
      def deeper(depth) deeper(depth + 1) + 1 end
      def caused
        raise "cause"
      rescue StandardError => e
        raise ArgumentError, "effect"
      end
    RUBY
  end
  check_fault_isolation(:proxy)

  # All exception classes of this Ruby, except those that end the process.
  def self.exception_names
    walk = "walk = ->(k) { k <= SystemExit || k <= SignalException ? [] : [k, *k.subclasses.flat_map(&walk)] }"
    source = "#{walk}; puts walk.(Exception).map(&:name).compact"
    output, = Open3.capture2(RbConfig.ruby, "--disable-gems", "-e", source)
    output.split - %w[fatal]
  end

  def expect_one_error(source, line)
    expect(ask("#{source}\n")).to eq ""
    expect_problems(line, /\AWARN .* the proxy block raised at /)
    expect(proxy.settled_log).not_to match(/^connect error/)
  end

  it "every exception class closes the connection and is logged by name" do
    names = self.class.exception_names
    expect(names).to include("NoMemoryError", "SystemStackError", "SecurityError", "ScriptError", "Errno::EPIPE")
    names.each { |name| expect(ask("raise Object.const_get('#{name}').allocate\n")).to eq "" }
    expect_problems(*names.flat_map { |name| [/\AERROR #{name} - /, /\AWARN .* the proxy block raised/] })
  end

  {
    "one that is no StandardError" => ["raise OutOfTheWay, 'mine'", "ERROR OutOfTheWay - mine"],
    "for want of memory, really" => ["'x' * (1 << 50)", /\AERROR NoMemoryError - /],
    "at the bottom of the stack, really" => ["deeper(0)", "ERROR SystemStackError - stack level too deep"],
    "by Timeout, of its own class" =>
      ["Timeout.timeout(0.05, OutOfTheWay) { sleep }", "ERROR OutOfTheWay - execution expired"],
    "by Timeout, around a read that blocks" =>
      ["Timeout.timeout(0.05) { IO.pipe.first.read }", "ERROR Timeout::Error - execution expired"],
    "by Timeout, around an accept that blocks" =>
      ["Timeout.timeout(0.05) { s = TCPServer.new('127.0.0.1', 0); begin; s.accept; ensure; s.close; end }",
       "ERROR Timeout::Error - execution expired"],
    "by Timeout, around a loop that computes" =>
      ["Timeout.timeout(0.05) { loop {} }", "ERROR Timeout::Error - execution expired"],
    "another one in its ensure" => ["begin; raise 'first'; ensure; raise 'second'; end", "ERROR RuntimeError - second"],
    "one with a cause" => ["caused", "ERROR ArgumentError - effect"],
    "the same again and again" => ["raise($same ||= RuntimeError.new('same'))", "ERROR RuntimeError - same"],
    "a frozen one" => ["raise RuntimeError.new('cold').freeze", /\AERROR (RuntimeError - cold|FrozenError - )/],
    "in the thread from a thread" =>
      ["main = Thread.current; Thread.new { main.raise('thrown in') }.join; sleep", "ERROR RuntimeError - thrown in"],
    "in a Fiber" => ["Fiber.new { raise 'in a fiber' }.resume", "ERROR RuntimeError - in a fiber"],
    "by yielding from no Fiber" => ["Fiber.yield", /\AERROR FiberError - /],
    "something that is no exception" => ["raise 42", "ERROR TypeError - exception class/object expected"],
    "nothing" => ["raise", /\AERROR RuntimeError - /],
    "one whose message is a number" => ["raise Numbered", "ERROR Numbered - 42"],
    "one whose message is nil" => ["raise Silent", /\AERROR Silent - /],
    "one whose message is a BasicObject" => ["raise Bare", /\AERROR Bare - /],
    "one whose message is of 50 MB" => ["raise Loud", /\AERROR Loud - (loud ){20}.{0,900}\.\.\.\z/],
    "one whose message never ends" => ["raise Bottomless", /\AERROR Bottomless - /],
    "one whose class has no name" => ["raise Class.new(StandardError), 'who?'", /\AERROR #<Class:0x\h+> - who\?\z/],
    "one whose class fails to say its name" => ["raise Nameless, 'who?'", /\AERROR .* - who\?\z/],
    "one whose message is not text" => ["raise \"\\xff\\xfe\\0\".b", /\AERROR RuntimeError - /],
    "one whose message is UTF-16" => ["raise 'wide'.encode('UTF-16LE')", "ERROR RuntimeError - wide"]
  }.each do |what, (source, line)|
    it "#{what}: closes the connection with one ERROR line" do
      expect_one_error(source, line)
    end
  end

  %w[message to_s inspect detailed_message full_message backtrace class name is_a? == === hash].each do |method|
    it "an exception whose #{method} raises closes the connection with one ERROR line" do
      expect_one_error("raise Lying['#{method}'].allocate", /\AERROR .* - /)
    end
  end

  it "an exception that cannot be raised closes the connection with one ERROR line" do
    expect_one_error("raise Lying['exception'].allocate", "ERROR RuntimeError - asked for its exception")
  end

  it "the block is called for later connections, and the exception is freed" do
    20.times { ask("deeper(0)\n") }
    expect_problems(*["ERROR SystemStackError - stack level too deep", /\AWARN .* the proxy block raised/] * 20)
    expect(ask("{ :close => ($! || 'nothing').to_s }\n")).to eq "nothing"
  end
end
