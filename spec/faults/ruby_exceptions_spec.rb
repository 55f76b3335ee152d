# frozen_string_literal: true

require "open3"

# Blocks that raise, whatever and however: one ERROR line, one connection closed, and nobody else notices.
# The everyday ones are in spec/contract/block_errors_spec.rb.
RSpec.describe "A block that raises" do
  running(:proxy) do
    Puppet.start(<<~'RUBY')
      require "timeout"
      # Exceptions that fail when they are asked something, each in one method.
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
  unharmed(:proxy)

  # The exceptions of this Ruby, but for those that ask the process to end.
  def self.exception_names
    walk = "walk = ->(k) { k <= SystemExit || k <= SignalException ? [] : [k, *k.subclasses.flat_map(&walk)] }"
    source = "#{walk}; puts walk.(Exception).map(&:name).compact"
    output, = Open3.capture2(RbConfig.ruby, "--disable-gems", "-e", source)
    output.split - %w[fatal]
  end

  def expect_one_error(source, line)
    expect(ask("#{source}\n")).to eq ""
    expect_trouble(line)
    expect(proxy.settled_log).not_to match(/^connect error/)
  end

  it "any exception that Ruby has closes its connection, and is logged by its name" do
    names = self.class.exception_names
    expect(names).to include("NoMemoryError", "SystemStackError", "SecurityError", "ScriptError", "Errno::EPIPE")
    names.each { |name| expect(ask("raise Object.const_get('#{name}').allocate\n")).to eq "" }
    expect_trouble(*names.map { |name| /\AERROR #{name} - / })
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
    it "#{what} closes its connection, with one line" do
      expect_one_error(source, line)
    end
  end

  %w[message to_s inspect detailed_message full_message backtrace class name is_a? == === hash].each do |method|
    it "one that fails when it is asked for its #{method} closes its connection, with one line" do
      expect_one_error("raise Lying['#{method}'].allocate", /\AERROR .* - /)
    end
  end

  it "one that will not be raised closes its connection, with one line" do
    expect_one_error("raise Lying['exception'].allocate", "ERROR RuntimeError - asked for its exception")
  end

  it "serves it again afterwards: nothing is left of what it raised" do
    20.times { ask("deeper(0)\n") }
    expect_trouble(*["ERROR SystemStackError - stack level too deep"] * 20)
    expect(ask("{ :close => ($! || 'nothing').to_s }\n")).to eq "nothing"
  end
end
