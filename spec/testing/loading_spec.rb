# frozen_string_literal: true

# Loading: what a config may do at top level in the server, it may do here, and nothing of it is seen elsewhere.
RSpec.describe "ProxyMachine::Testing.load:" do
  def load(...)
    TestingConfig.load(...)
  end

  def words(router, bytes = "x", **client)
    decision = router.decide(bytes, **client)
    raise decision.error if decision.error

    decision.words
  end

  # The warnings of Ruby while the block runs.
  def warnings
    said = []
    allow(Warning).to receive(:warn) { |text, **| said << text }
    verbose = $VERBOSE
    $VERBOSE = true
    yield
    said
  ensure
    $VERBOSE = verbose
  end

  it "constants, methods, classes and instance variables are each config's own" do
    config = lambda do |value|
      load(<<~CONFIG)
        ROUTES = #{value.inspect}
        @table = #{value.inspect}
        class Table
          NAME = #{value.inspect}
          def self.find = NAME
        end
        def helper = #{value.inspect}
        proxy { |data| { :close => [ROUTES, @table, Table.find, helper].join(" ") } }
      CONFIG
    end
    first = second = nil
    said = warnings do
      first = config["a"]
      second = config["b"]
    end
    expect(said).to eq []
    expect([words(first), words(second), words(first)]).to eq ["a a a a", "b b b b", "a a a a"]
    expect([defined?(ROUTES), Object.const_defined?(:Table), respond_to?(:helper, true)]).to eq [nil, false, false]
    expect(TOPLEVEL_BINDING.receiver.instance_variables).not_to include :@table
  end

  it "the same config can be loaded again" do
    Dir.mktmpdir do |dir|
      TestingConfig.write(dir, "router.rb" => "LIMIT = 1\nclass A < Struct.new(:x); end\nproxy { :close }")
      path = File.join(dir, "router.rb")
      expect(warnings { 2.times { ProxyMachine::Testing.load(path) } }).to eq []
    end
  end

  it "the running configuration of the process stays as it is" do
    load("max_preread 7\nlisten '127.0.0.1:1'\nproxy { :close }")
    expect(ProxyMachine.configuration.blocks.routing?).to be false
    expect(ProxyMachine.configuration.settings.to_h[:max_preread]).to eq 1_048_576
  end

  it "verbs work in modules, classes and methods" do
    expect(words(load("module Routes; proxy { { :close => 'module' } }; end"))).to eq "module"
    expect(words(load("class Routes; def self.set; proxy { { :close => 'class' } }; end; set; end"))).to eq "class"
    expect(words(load("def set(text) = proxy { { :close => text } }\nset 'method'"))).to eq "method"
    expect(words(load("ProxyMachine.set_router(lambda { |data| { :close => 'api' } })"))).to eq "api"
    expect(words(load("def route(data) = { :close => data }\nproxy(&method(:route))"))).to eq "x"
  end

  it "the methods of the config can be called in its classes, modules and structs" do
    router = load(<<~CONFIG)
      def helper(text, mark: "!") = text + mark
      class A; BODY = helper("a"); def call = helper("b"); end
      class B < Array; def call = helper("c", mark: "?"); end
      module M; class N; def call = helper("d"); end; def self.call = helper("e"); end
      Point = Struct.new(:x) { def call = helper(x) }
      proxy { { :close => [A::BODY, A.new.call, B.new.call, M::N.new.call, M.call, Point.new("f").call].join } }
    CONFIG
    expect(words(router)).to eq "a!b!c?d!e!f!"
    expect { words(load("class A; def call = missing; end\nproxy { A.new.call }")) }
      .to raise_error(NameError, /undefined local variable or method `?'?missing/)
  end

  it "a method that a class inherits comes before that of the config" do
    router = load(<<~CONFIG)
      def first = "the config's"
      class Remotes < Array; def pick = first; end
      proxy { { :close => Remotes.new(["the list's"]).pick } }
    CONFIG
    expect(words(router)).to eq "the list's"
  end

  it "a class that exists is reopened: Ruby's, one that the config requires, and one that it extended before" do
    files = { "spec_testing_table.rb" => "class SpecTestingTable; def a = 1; end" }
    source = <<~CONFIG
      $LOAD_PATH.unshift __dir__
      require "spec_testing_table"
      class String; def spec_testing_shout = upcase + "!"; end
      class SpecTestingTable; def b = a + 1; end
      proxy { |data| { :close => data.spec_testing_shout + SpecTestingTable.new.b.to_s } }
    CONFIG
    2.times { expect(words(load(source, files))).to eq "X!2" }
  ensure
    Object.send(:remove_const, :SpecTestingTable)
    String.send(:remove_method, :spec_testing_shout)
  end

  it "a class of the test with the name of one of the config is another class" do
    # As in a file that rspec has loaded.
    Dir.mktmpdir do |dir|
      TestingConfig.write(dir, "x_spec.rb" => "class SpecTestingOwn; def call = 'the test'; end")
      Kernel.load(File.join(dir, "x_spec.rb"))
    end
    router = load(<<~CONFIG)
      class SpecTestingOwn < Struct.new(:a); def call = "own"; end
      proxy { { :close => SpecTestingOwn.new.call } }
    CONFIG
    expect([words(router), SpecTestingOwn.new.call]).to eq ["own", "the test"]
  ensure
    Object.send(:remove_const, :SpecTestingOwn)
  end

  it "a file of routes that the config requires is loaded with each config" do
    Dir.mktmpdir do |dir|
      TestingConfig.write(dir, "router.rb" => 'require_relative "routes"',
                               "routes.rb" => "SPEC_TESTING = 'required'\nproxy { { :close => SPEC_TESTING } }")
      said = warnings do
        3.times { expect(words(ProxyMachine::Testing.load(File.join(dir, "router.rb")))).to eq "required" }
      end
      expect(said).to eq []
    end
  ensure
    Object.send(:remove_const, :SPEC_TESTING)
  end

  it "constants of the config are found by name, and in the files that it requires" do
    files = { "spec_testing_helper.rb" => "module SpecTestingHelper; def self.call = PREFIX + TAIL; end" }
    router = load(<<~CONFIG, files)
      PREFIX = "pre"
      require_relative "spec_testing_helper"
      TAIL = "fix"
      proxy { { :close => SpecTestingHelper.call + Object.const_get(:TAIL) } }
    CONFIG
    expect(words(router)).to eq "prefixfix"
    expect { SpecTestingHelper.call }.to raise_error(NameError, /uninitialized constant .*PREFIX/)
  ensure
    Object.send(:remove_const, :SpecTestingHelper)
  end

  it "a program that embeds the server is loaded, and not run" do
    router = load('require "proxymachine"; proxy { { :close => "tested" } }; ProxyMachine.run("x", "127.0.0.1", 0)')
    expect(words(router)).to eq "tested"
  end

  it "`load` in a config loads a part of the config" do
    files = { "part.rb" => "PART = 'part'\nclass Part; def self.call = PART + tail; end" }
    source = "load File.join(__dir__, 'part.rb')\ndef tail = '!'\nproxy { { :close => Part.call } }"
    expect(warnings { 2.times { expect(words(load(source, files))).to eq "part!" } }).to eq []
    expect(Object.const_defined?(:PART)).to be false
  end

  it "a config may assign LOGGER, which stays the test's own" do
    logger = LOGGER
    router = nil
    said = warnings do
      router = load(<<~CONFIG)
        require "stringio"
        LOGGER = Logger.new(OUT = StringIO.new)
        proxy { LOGGER.info("asked"); { :close => OUT.string } }
      CONFIG
    end
    expect(said).to eq []
    expect(words(router)).to match(/asked/)
    load("Object.send(:remove_const, :LOGGER)\nproxy { :close }")
    expect(LOGGER).to be logger
  end

  it "`return` in a block acts like `next`, and self is the top level of the config" do
    expect(words(load("proxy { return { :close => self.to_s } }"))).to eq "main"
  end

  it "opens no socket and starts no thread, whatever the config asks for" do
    before = [Thread.list, Dir.children("/proc/self/fd").size]
    load(<<~CONFIG)
      listen "127.0.0.1:1"
      admin "127.0.0.1:2"
      access_log "/nonexistent/log"
      run_as "root"
      threads 4
      proxy { :close }
    CONFIG
    expect([Thread.list, Dir.children("/proc/self/fd").size]).to eq before
  end

  it "takes 20 milliseconds at most" do
    times = Array.new(5) do
      begun = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID)
      ProxyMachine::Testing.load(File.join(ProxyProcess::ROOT, "examples", "http.rb"))
      Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - begun
    end
    expect(times.min).to be < 0.02
  end

  it "tests may run in several threads" do
    routers = Array.new(4) { |index| load("VALUE = #{index}\nproxy { Thread.pass; { :close => VALUE.to_s } }") }
    threads = routers.each_with_index.map do |router, index|
      Thread.new { Array.new(50) { words(router) }.uniq == [index.to_s] }
    end
    expect(threads.map(&:value)).to all be true
  end

  describe "errors:" do
    def error(source, files = {})
      load(source, files)
      nil
    rescue ProxyMachine::ConfigError => e
      e.message.gsub(%r{\S*/(?=router\.rb)}, "")
    end

    it "an exception, a verb that refuses, and Ruby that cannot be parsed are ConfigErrors with file and line" do
      expect(error("\nraise 'no database'")).to eq "router.rb:2: no database (RuntimeError)"
      expect(error("\n\nmax_preread -1")).to match(/\Arouter\.rb:3: max_preread takes a whole number above 0, not -1/)
      expect(error("def set = listen('a:1', :nmae => 1)\nset"))
        .to match(/\Arouter\.rb:1: listen "a:1": no such option: :nmae/)
      expect(error("proxy {")).to match(/\Arouter\.rb:1: /)
      expect(error("Missing")).to match(/\Arouter\.rb:1: uninitialized constant .*Missing/)
    end

    it "a config without a proxy block, one that exits, and one that is not there are named" do
      expect(error("")).to eq "router.rb has no proxy block: add proxy { |data| ... }"
      expect(error("exit 3")).to eq "router.rb ends the program while it is loaded (exit 3)"
      expect { ProxyMachine::Testing.load("/nonexistent.rb") }
        .to raise_error(ProxyMachine::ConfigError, "cannot read config file /nonexistent.rb: no such file")
    end
  end
end
