# frozen_string_literal: true

# CONTRACT 1, "Embedders": programs that require the gem and call run.
RSpec.describe "Embedding:" do
  # A config that answers with its name and the id of the serving process.
  def config(dir, name)
    File.join(dir, "#{name}.rb").tap do |path|
      File.write(path, "proxy { |data| { :close => \"#{name} \#{Process.pid}\" } }")
    end
  end

  it "a program may load a config and call run" do
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      File.write("routes.rb", 'proxy { |data| { :close => "routed \#{data}" } }')
      load "./routes.rb"
      ProxyMachine.run("routes", "127.0.0.1", 0)
    RUBY
    expect(ask("hi", script)).to eq "routed hi"
  end

  it "a program may fork and call run in the child" do
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      child = fork do
        proxy { |data| { :close => "child of \#{Process.ppid}" } }
        ProxyMachine.run("child", "127.0.0.1", 0)
      end
      trap("TERM") { Process.kill("QUIT", child) }
      Process.wait(child)
      exit $?.exitstatus
    RUBY
    expect(ask("hi", script)).to eq "child of #{script.pid}"
    script.signal("TERM")
    expect(script.wait).to be_success
  end

  it "a program may run several children, each with its own config" do
    Dir.mktmpdir do |dir|
      script = RubyScript.new(<<~RUBY)
        require "proxymachine"
        children = #{[config(dir, "one"), config(dir, "two")].inspect}.map do |path|
          fork do
            load path
            ProxyMachine.run(File.basename(path, ".rb"), "127.0.0.1", 0)
          end
        end
        children.each { |child| Process.wait(child) }
      RUBY
      answers = [0, 1].map { |index| Client.new(script.port(index)).write("?").read_all.split }
      expect(answers.map(&:first)).to contain_exactly("one", "two")
      expect(answers.map(&:last).uniq.size).to eq 2
    end
  end

  it "a program may become a daemon after require and before run" do
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      proxy { |data| { :close => "pid \#{Process.pid}" } }
      Process.daemon(true, true)
      File.write("daemon.pid", Process.pid)
      ProxyMachine.run("daemon", "127.0.0.1", 0)
    RUBY
    expect(script.wait).to be_success
    port = script.port
    daemon = File.read(File.join(script.dir, "daemon.pid")).to_i
    begin
      expect(Client.new(port).write("?").read_all).to eq "pid #{daemon}"
    ensure
      Process.kill("QUIT", daemon)
      eventually { !File.exist?("/proc/#{daemon}") }
    end
  end

  it "require starts no thread" do
    before, after = RubyScript.output(<<~RUBY).split.map(&:to_i)
      require "yaml"; require "logger"; require "socket"
      Thread.new {}.join
      puts Dir.children("/proc/self/task").size
      require "proxymachine"
      proxy { |data| { :noop => true } }
      puts Dir.children("/proc/self/task").size
    RUBY
    expect(after).to be <= before # Ruby 3.3 and later end a joined thread lazily
  end

  it "run returns after a drain, and the program goes on" do
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      at_exit { puts "at_exit ran" }
      Thread.new {}.join
      before = Dir.children("/proc/self/task").size
      proxy { |data| { :noop => true } }
      ProxyMachine.run("own", "127.0.0.1", 0)
      more = -> { Dir.children("/proc/self/task").size - before }
      1000.times { more.call.positive? && sleep(0.01) }  # a joined thread is visible for a moment
      puts "run returned with \#{more.call} threads more"
      exit 7
    RUBY
    script.port
    script.signal("QUIT")
    expect(script.wait.exitstatus).to eq 7
    expect(script.stdout).to match(/^run returned with (0|-\d+) threads more\nat_exit ran\n\z/)
  end

  it "run may be called on another thread than the main one" do
    script = RubyScript.new(<<~RUBY)
      require "proxymachine"
      runner = Thread.new do
        proxy { |data| { :close => (Thread.current == runner).to_s } }
        ProxyMachine.run("thread", "127.0.0.1", 0)
      end
      runner.join
    RUBY
    expect(ask("?", script)).to eq "true"
  end

  it "run raises an error of the gem without a proxy block" do
    output = RubyScript.output(<<~RUBY)
      require "proxymachine"
      begin
        ProxyMachine.run("nothing", "127.0.0.1", 0)
      rescue ProxyMachine::Error => e
        puts e.message
      end
    RUBY
    expect(output).to include "proxy"
    expect(output).not_to include "Listening"
  end

  it "run raises an error of the gem when the port is in use" do
    taken = Backends.silent
    output = RubyScript.output(<<~RUBY)
      require "proxymachine"
      proxy { |data| { :noop => true } }
      begin
        ProxyMachine.run("taken", "127.0.0.1", #{taken.port})
      rescue ProxyMachine::Error => e
        puts "\#{e.is_a?(StandardError)} \#{e.message}"
      end
    RUBY
    expect(output).to match(/^true .*127\.0\.0\.1:#{taken.port}/)
  end
end
