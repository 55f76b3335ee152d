# frozen_string_literal: true

# Blocks that end by a non-local exit instead of an answer. `exit`, `exit!`, `abort` and signals are in
# spec/contract/block_exits_spec.rb, `return`, `break` and `next` of a block in spec/contract/block_call_spec.rb, an
# uncaught `throw` in spec/contract/block_errors_spec.rb.
RSpec.describe "Non-local exit:" do
  describe "within the block" do
    running(:proxy) do
      ScriptedProxy.start(<<~'RUBY')
        def helper() yield; { :close => "not reached" } end
        def answer(data)
          helper { return { :close => "returned from a helper" } }
        end
        routes = lambda { |data| return { :close => "returned from a lambda" } }
        define_method(:routes) { |data| routes.call(data) }
      RUBY
    end
    check_fault_isolation(:proxy)

    {
      "a throw that it catches itself" => ["catch(:done) { throw :done, { :close => 'caught' } }", "caught"],
      "a break out of a loop" => ["loop { break({ :close => 'broken off' }) }", "broken off"],
      "a return out of a method's block" => ["answer(data)", "returned from a helper"],
      "a return out of a lambda" => ["lambda { return { :close => 'from a lambda' } }.call", "from a lambda"],
      "a next out of an inner block" => ["[1].map { next({ :close => 'next' }) }.first", "next"],
      "a return in its own line" => ["return { :close => 'returned' }; raise 'not reached'", "returned"],
      "a return in an ensure" => ["begin; raise 'lost'; ensure; return { :close => 'ensured' }; end", "ensured"],
      "a retry" => ["begin; $n = $n.to_i + 1; raise if $n < 3; { :close => 'retried' }; rescue; retry; end", "retried"],
      "a Fiber's answer" => ["Fiber.new { { :close => 'from a fiber' } }.resume", "from a fiber"],
      "a Thread's answer" => ["Thread.new { { :close => 'from a thread' } }.value", "from a thread"],
      "StopIteration, which ends a loop" => ["loop { raise StopIteration }; { :close => 'stopped' }", "stopped"]
    }.each do |what, (source, received)|
      it "#{what}: the block answers" do
        expect(ask("#{source}\n")).to eq received
      end
    end

    it "break from an orphan proc closes the connection with one ERROR line" do
      expect(ask("proc { break }.tap { |orphan| Thread.new(&orphan).join }; { :noop => true }\n")).to eq ""
      expect_problems(/\AERROR LocalJumpError - /, /\AWARN .* the proxy block raised at /)
    end

    it "a deadlock closes the connection with one ERROR line" do
      expect(ask("lock = Mutex.new; lock.lock; Thread.new { lock.lock }.join\n")).to eq ""
      expect_problems(/\AERROR fatal - No live threads left\. Deadlock\?/, /\AWARN .* the proxy block raised at /)
    end

    it "an exception of a joined thread closes the connection with one ERROR line" do
      expect(ask("Thread.new { Thread.current.report_on_exception = false; raise 'far away' }.join\n")).to eq ""
      expect_problems("ERROR RuntimeError - far away", /\AWARN .* the proxy block raised at /)
    end
  end

  describe "out of run" do
    # A program that calls run and continues afterwards; `block` is the code that a client's block runs.
    def program(source, around: "ProxyMachine.run('jumps', '127.0.0.1', 0)")
      RubyScript.new(<<~RUBY)
        require "proxymachine"
        at_exit { puts "at_exit ran" }
        proxy { |data| data == "go" ? (#{source}) : { :noop => true } }
        #{around}
        puts "went on with \#{Dir.children("/proc/self/fd").count { |fd| File.readlink("/proc/self/fd/\#{fd}") =~ /socket/ rescue false }} sockets"
        puts "and threads: \#{Dir.children("/proc/self/task").map { |id| File.read("/proc/self/task/\#{id}/comm") }.grep(/proxymachine \\d/).size}"
      RUBY
    end

    # All clients were closed, and no thread or socket of the server is left.
    def expect_left(script, goes_on: true)
      undecided = Client.new(script.port).write("wait")
      eventually { script.stdout.include?("noop") }
      Client.new(script.port).write("go")
      expect(undecided).to be_ended
      expect(script.wait).to be_success
      last_words = "#{"went on with 0 sockets\nand threads: 0\n" if goes_on}at_exit ran\n"
      expect([script.stdout[/(went on|at_exit).*/m], script.stderr]).to eq [last_words, ""]
    end

    it "a throw ends the server, and the program continues at its catch" do
      expect_left program("throw :done", around: "catch(:done) { ProxyMachine.run('jumps', '127.0.0.1', 0) }")
    end

    it "a Timeout around run ends the server, and the program continues" do
      expect_left program("sleep", around: <<~RUBY)
        require "timeout"
        begin
          Timeout.timeout(6) { ProxyMachine.run("jumps", "127.0.0.1", 0) }
        rescue Timeout::Error
          nil
        end
      RUBY
    end

    it "SystemExit raised by another thread ends the server, and the program continues" do
      expect_left program("$began = true; sleep", around: <<~RUBY)
        runner = Thread.current
        Thread.new { sleep 0.01 until $began; runner.raise(SystemExit) }
        begin
          ProxyMachine.run("jumps", "127.0.0.1", 0)
        rescue SystemExit
          nil
        end
      RUBY
    end

    it "Thread.current.kill on the main thread ends the process regularly" do
      expect_left program("Thread.current.kill"), goes_on: false
    end

    it "Thread.current.kill on another thread ends the server, and the program continues" do
      expect_left program("Thread.current.kill", around: <<~RUBY)
        Thread.new { ProxyMachine.run("jumps", "127.0.0.1", 0) }.join
      RUBY
    end

    it "Thread.exit in a callback ends the server, and the program continues" do
      closing = Backends.closing
      expect_left program("{ :remote => #{closing.address.inspect} }", around: <<~RUBY)
        proxy_connect_error { Thread.exit }
        Thread.new { ProxyMachine.run("jumps", "127.0.0.1", 0) }.join
      RUBY
    end

    it "Thread#kill from another thread ends the server, and the program continues" do
      expect_left program("$began = true; sleep", around: <<~RUBY)
        runner = Thread.new { ProxyMachine.run("jumps", "127.0.0.1", 0) }
        Thread.new { sleep 0.01 until $began; runner.kill }
        runner.join
      RUBY
    end
  end

  describe "none, in an endless loop:" do
    let(:echo) { Backends.echo }

    {
      "loop {}" => "loop {}", "sleep" => "sleep", "a read that blocks" => "IO.pipe.first.read",
      "a loop that rescues" => "begin; sleep; rescue StandardError; retry; end"
    }.each do |what, source|
      it "#{what} does not affect other connections, and QUIT ends the server when its clients are gone" do
        proxy = ScriptedProxy.start
        other = connect(proxy).write(ScriptedProxy.route_to(echo))
        expect(other.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
        stuck = connect(proxy).write("puts 'stuck'; #{source}\n")
        eventually { proxy.stdout.include?("stuck\n") }
        50.times { expect(other.write("message").read(7)).to eq "message" }
        proxy.signal("QUIT")
        expect(other.write("still there?").read(12)).to eq "still there?"
        [other, stuck].each(&:reset)
        expect(proxy.wait).to be_success
      end
    end
  end
end
