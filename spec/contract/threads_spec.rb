# frozen_string_literal: true

# `threads N`: a pool of threads calls the block concurrently. Without the setting, one call runs at a time.
RSpec.describe "Thread pool:" do
  let(:barrier) do
    # Answers only when this many calls run at once.
    <<~RUBY
      require "timeout"
      calls = 0
      lock = Mutex.new
      all_here = ConditionVariable.new
      proxy do |data|
        lock.synchronize do
          calls += 1
          all_here.broadcast
          Timeout.timeout(10) { all_here.wait(lock) until calls >= 8 }
        end
        { :close => data.upcase }
      end
    RUBY
  end

  def talk(count, proxy)
    Array.new(count) { |number| connect(proxy).write("client #{number}") }.map(&:read_all)
  end

  it "runs N blocks at once, by the verb and by the flag" do
    expected = Array.new(8) { |number| "CLIENT #{number}" }
    expect(talk(8, ProxyProcess.start("threads 8\n#{barrier}"))).to eq expected
    expect(talk(8, ProxyProcess.start(barrier, args: %w[-h 127.0.0.1 -p 0 --threads 8]))).to eq expected
  end

  it "without the setting, runs one block at a time" do
    proxy = ProxyProcess.start(<<~RUBY)
      inside = 0
      proxy do |data|
        inside += 1
        sleep 0.05
        answer = inside == 1 ? "alone" : "crowded"
        inside -= 1
        { :close => answer }
      end
    RUBY
    expect(talk(8, proxy)).to all eq "alone"
  end

  it "logs each answer, and an exception ends only its own connection" do
    proxy = ProxyProcess.start("threads 4; proxy { |data| data == 'bad' ? raise('no luck') : { :close => data } }")
    expect(%w[one bad two].map { |word| ask(word, proxy) }).to eq ["one", "", "two"]
    proxy.await(/INFO 127.0.0.1:\d+ #{Regexp.escape({ close: "two" }.inspect)}$/)
    expect(proxy.errors).to eq ["ERROR RuntimeError - no luck"]
  end

  # Ruby 3.3 brought it; before, the variable means nothing.
  it "runs blocks on Ruby threads that move between native threads" do
    proxy = ProxyProcess.start("threads 4; proxy { |data| sleep 0.001; { :close => data.upcase } }",
                               env: { "RUBY_MN_THREADS" => "1" })
    20.times { expect(talk(8, proxy)).to eq(Array.new(8) { |number| "CLIENT #{number}" }) }
  end

  it "replaces a thread that the block has killed" do
    proxy = ProxyProcess.start("threads 2; proxy { |data| Thread.current.kill if data == 'bad'; { :close => data } }")
    5.times { expect(ask("bad", proxy)).to eq "" }
    expect(ask("good", proxy)).to eq "good"
  end

  it "exit in a block ends the server with its status" do
    proxy = ProxyProcess.start("threads 2; proxy { |data| exit 7 if data == 'end'; { :close => data } }")
    expect(ask("hello", proxy)).to eq "hello"
    ask("end", proxy)
    expect(proxy.wait.exitstatus).to eq 7
  end

  it "drains in time while its blocks sleep" do
    proxy = ProxyProcess.start("threads 2; proxy { |data| sleep if data == 'sleep'; { :close => data } }")
    sleepers = Array.new(3) { connect(proxy).write("sleep") }
    proxy.await(/Accepted/)
    sleepers.each(&:reset)
    proxy.signal("QUIT")
    expect(proxy.wait.exitstatus).to eq 0
  end

  # Thread.handle_interrupt defers the kill for ever.
  it "drains in time while a block defers its kill for ever" do
    deaf = "Thread.handle_interrupt(Object => :never) { sleep }"
    proxy = ProxyProcess.start("threads 2; proxy { |data| #{deaf} if data == 'sleep'; { :close => data } }")
    sleeper = connect(proxy).write("sleep")
    proxy.await(/Accepted/)
    sleeper.reset
    proxy.signal("QUIT")
    expect(proxy.wait(within: 10).exitstatus).to eq 0
  end
end
