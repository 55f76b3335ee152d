# frozen_string_literal: true

# Unusual answers, and blocks that keep, change or freeze their arguments: at worst one ERROR line and one closed
# connection. Valid answers are in spec/contract/answers_*_spec.rb.
RSpec.describe "Unusual block answers:" do
  mebibyte = 1024 * 1024

  running(:echo) { Backends.echo }
  running(:closer) { Backends.once("closer") }
  running(:proxy) do
    ScriptedProxy.start(<<~RUBY)
      require "delegate"
      ECHO, CLOSER = #{echo.address.inspect}, #{closer.address.inspect}
      class Tongue; def to_s() raise "no words" end end
      class Number; def to_s() 42 end end
      class Shy; def inspect() raise "do not look" end; def to_s() "shy" end end
      class Endless; def inspect() inspect end; def to_s() to_s end end
      class Talkative; def inspect() "talk " * 10_000_000 end; def to_s() "talk" end end
      class Backwards < Hash; def [](key) key == :close ? "asked" : nil end end
      class Broken < Hash; def [](key) raise "broken " + key.to_s end; def any?() raise "broken" end end
      class Faces < Hash; def class() String end end
      class Fake; def class() Hash end; def is_a?(*) true end; def to_hash() { :close => "fake" } end end
      class Late; def to_f() raise "no" end end
      class Nan; def to_f() "not a Float" end end
      Answer = Struct.new(:remote)
      class Open; def method_missing(*) CLOSER end; def respond_to_missing?(*) true end end
      def cyclic() {}.tap { |hash| hash[:close] = hash } end
      def cyclic_remote() {}.tap { |hash| hash[:remote] = [hash] } end
      def deep() 50_000.times.reduce({}) { |inner, _| { :deep => inner } } end
    RUBY
  end
  check_fault_isolation(:proxy)

  invalid = /\AERROR 127\.0\.0\.1:\d+ invalid answer /
  no_remote = /\AERROR 127\.0\.0\.1:\d+ invalid remote /

  # The answer, and the data that the client receives.
  {
    "a frozen Hash" => ["{ :close => 'cold' }.freeze", "cold"],
    "a frozen String to close with" => ["{ :close => 'cold'.freeze }", "cold"],
    "a frozen remote" => ["{ :remote => CLOSER.dup.freeze, :data => 'x'.freeze }", "closer:x"],
    "a subclass of String as remote" => ["{ :remote => Class.new(String).new(CLOSER), :data => 'x' }", "closer:x"],
    "a Hash that holds itself" => ["cyclic", {}.tap { |hash| hash[:close] = hash }.to_s],
    "a subclass of Hash with its own []" => ["Backwards.new", "asked"],
    "a Hash that says it is none" => ["Faces[:close, 'honest']", "honest"],
    "a Hash that compares by identity" => ["{}.compare_by_identity.merge!(:close => 'same')", "same"],
    "a Hash with a default" => ["Hash.new('the default').merge!(:close => 'given', :remote => nil)", "given"],
    "a Hash with a default proc" => ["Hash.new { |_, key| 'by proc' if key == :close }", "by proc"],
    "words that cannot be inspected" => ["{ :close => Shy.new }", "shy"],
    "words that inspect at length" => ["{ :close => Talkative.new }", "talk"],
    "an endless timeout" => ["{ :remote => CLOSER, :data => 'x', :connect_timeout => Float::INFINITY }", "closer:x"],
    "a timeout of ages" => ["{ :remote => CLOSER, :data => 'x', :inactivity_timeout => 10**400 }", "closer:x"],
    "a timeout that is no number" => ["{ :remote => CLOSER, :data => 'x', :inactivity_timeout => 0.0/0 }", "closer:x"],
    "a timeout in words" => ["{ :remote => CLOSER, :data => 'x', :connect_timeout => 'five' }", "closer:x"],
    "a timeout that is a Rational" => ["{ :remote => CLOSER, :data => 'x', :connect_timeout => 7/2r }", "closer:x"]
  }.each do |what, (source, received)|
    it "#{what}: accepted" do
      expect(ask("#{source}\n")).to eq received
    end
  end

  # The answer, and the log line with the reason why it is invalid.
  {
    "a BasicObject" => ["BasicObject.new", invalid],
    "a delegator of a Hash" => ["SimpleDelegator.new({ :close => true })", invalid],
    "a Struct" => ["Answer.new(CLOSER)", invalid],
    "an object that responds to all methods" => ["Open.new", invalid],
    "an object that says it is a Hash" => ["Fake.new", invalid],
    "an object that cannot be inspected" => ["Shy.new", /#{invalid}\(an object that cannot be inspected\)/],
    "an object whose inspect never ends" => ["Endless.new", invalid],
    "an object that inspects at length" => ["Talkative.new", /#{invalid}(talk ){20}.{0,1000}\.\.\./],
    "a deep nest" => ["[deep]", invalid],
    "an exception" => ["RuntimeError.new('not raised')", invalid],
    "itself" => ["method(:eval)", invalid],
    "the class of an answer" => ["Hash", invalid],
    "a BasicObject as remote" => ["{ :remote => BasicObject.new }", no_remote],
    "a delegator of a String as remote" => ["{ :remote => SimpleDelegator.new(CLOSER) }", no_remote],
    "a remote that holds its answer" => ["cyclic_remote", no_remote],
    "a remote that is not text" => ['{ :remote => "\xff\xfe:80".b }', no_remote],
    "a remote of 50 MB" => ["{ :remote => 'h' * 50_000_000 }", no_remote],
    "words whose to_s raises" => ["{ :close => Tongue.new }", "ERROR RuntimeError - no words"],
    "words that are no String" => ["{ :close => Number.new }", /\AERROR TypeError - /],
    "words whose to_s never ends" => ["{ :close => Endless.new }", "ERROR SystemStackError - stack level too deep"],
    "words that are a BasicObject" => ["{ :close => BasicObject.new }", /\AERROR NoMethodError - /],
    "data whose to_s raises" => ["{ :remote => CLOSER, :data => Tongue.new }", "ERROR RuntimeError - no words"],
    "a reply that is no String" => ["{ :remote => CLOSER, :reply => Number.new }", /\AERROR TypeError - /],
    "a timeout that raises" => ["{ :remote => CLOSER, :connect_timeout => Late.new }", "ERROR RuntimeError - no"],
    "a timeout that lies" => ["{ :remote => CLOSER, :inactivity_timeout => Nan.new }", /\AERROR TypeError - /],
    "a timeout that is none" => ["{ :remote => CLOSER, :connect_timeout => [5] }",
                                 /\AERROR \S+ invalid :connect_timeout \[5\]: expected a number of seconds\z/],
    "a complex timeout" => ["{ :remote => CLOSER, :connect_timeout => 1i }", /\AERROR RangeError - /],
    "a Hash whose default proc raises" => ["Hash.new { raise 'no default' }", "ERROR RuntimeError - no default"],
    "a Hash whose [] raises" => ["Broken.new", "ERROR RuntimeError - broken remote"]
  }.each do |what, (source, line)|
    it "#{what}: closes the connection with one ERROR line" do
      expect(ask("#{source}\n")).to eq ""
      raised = / the proxy block raised at / unless line.to_s.match?(/invalid/)
      expect_problems(line, *raised)
    end
  end

  # Ruby handles no interrupts after a stack overflow that no method written in Ruby has seen.
  it "words too deep for to_s: the thread still runs traps and other interrupts" do
    expect(ask("{ :close => deep }\n")).to eq ""
    wake = "thread = Thread.current; Thread.new { thread.raise('woken') }.join; { :close => 'not woken' }"
    expect(ask("#{wake}\n")).to eq ""
    raised = / the proxy block raised at /
    expect_problems("ERROR SystemStackError - stack level too deep", raised, "ERROR RuntimeError - woken", raised)
  end

  it "a remote with a NUL is not truncated there" do
    expect(ask("{ :remote => CLOSER.sub(':', %(\\0.example:)) }\n")).to eq ""
    @expected_problems = problems
    expect(@expected_problems).to all(match(/invalid remote|Retrying|failed after ten attempts/))
    expect(closer.sessions).to eq []
  end

  { ":close" => "{ :close => HUGE }", ":reply" => "{ :remote => CLOSER, :reply => HUGE, :data => '!' }",
    ":data" => "{ :remote => ECHO, :data => HUGE }" }.each do |key, answer|
    it "50 MB as #{key} are delivered" do
      client = connect.write("HUGE = Random.new(1).bytes(#{50 * mebibyte}) unless defined?(HUGE); #{answer}\n")
      client.finish if key == ":data"
      received = client.read_all
      expect(received.bytesize - 50 * mebibyte).to eq(key == ":reply" ? "closer:!".size : 0)
      expect(Payload.digest(received[0, 50 * mebibyte])).to eq Payload.digest(Random.new(1).bytes(50 * mebibyte))
    end
  end

  it "50 MB as :close are freed when a client disconnects without reading" do
    client = connect.write("{ :close => 'w' * #{50 * mebibyte} }\n")
    expect(client.read(1)).to eq "w"
    client.reset
  end

  # Each operation changes `data` before the answer. The backend still receives the client's bytes.
  {
    "empties" => "data.clear", "replaces" => "data.replace('something else')", "grows" => "data << 'x' * 1_000_000",
    "re-encodes" => "data.force_encoding('UTF-16LE')", "freezes" => "data.freeze", "keeps" => "($kept ||= []) << data",
    "keeps a part of" => "($kept ||= []) << data[1..]", "cuts" => "data.slice!(0, 5)",
    "gives a singleton to" => "def data.bytesize() 0 end; def data.to_s() raise end",
    "hands to a thread" => "Thread.new { 100.times { data << 'x' } }"
  }.each do |what, source|
    it "a block that #{what} its data: the client's bytes are replayed" do
      request = "#{source}; { :remote => CLOSER }\n"
      expect(connect.write(request).read_all).to eq "closer:#{request}"
    end
  end

  it "a block that freezes its data receives a new String at the next call" do
    client = connect.write("wait")
    proxy.await(answer_log_line(client, { noop: true }))
    expect(client.write("ed = data.freeze; { :close => data.frozen?.to_s }\n").read_all).to eq "true"
    expect(ask("{ :close => data.frozen?.to_s }\n")).to eq "false"
  end

  it "a block that changes its answer's String later does not change the answer" do
    expect(ask("Thread.new { sleep 0.05; data.replace('changed') }; { :close => data }\n")).to start_with "Thread.new"
  end
end
