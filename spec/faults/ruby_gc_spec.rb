# frozen_string_literal: true

# Ruby's garbage collector at its worst: what the extension holds must be marked, pinned and rooted. The same for the
# whole life of a server is `rake stress`.
RSpec.describe "A server" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:proxy) do
    Puppet.start(<<~RUBY)
      ROUTE = { :remote => #{echo.address.inspect} }
      ROOM = { (RUBY_VERSION < "3.2" ? :double_heap : :expand_heap) => true }
      def move_everything() GC.verify_compaction_references(:toward => :empty, **ROOM) end
      def stressed
        GC.stress = true
        yield
      ensure
        GC.stress = false
      end
    RUBY
  end
  unharmed(:proxy)

  # Each kind of answer and of end, so that whatever the extension does with Ruby objects is done. `prelude` is what
  # each call of the block does first.
  def expect_all_kinds(prelude)
    relay = connect.write("#{prelude}; ROUTE.merge(:reply => 'r', :data => 'd', :connect_timeout => 5)\n")
    expect(ask("#{prelude}; { :close => 'last words' }\n")).to eq "last words"
    answers = ["raise 'a mistake'", "Object.new", "{ :remote => 'nowhere' }", "{ :remote => '#{closing.address}' }",
               "{ :remote => '#{silent.address}', :inactivity_timeout => 0.05 }"]
    expect(answers.map { |answer| ask("#{prelude}; #{answer}\n") }).to all(eq(""))
    expect(relay.write("still there?").read(14)).to eq "rdstill there?"
    expect_trouble("ERROR RuntimeError - a mistake", /invalid answer #<Object/, /invalid remote "nowhere"/,
                   premature(closing), /Disconnecting #{silent.address}/)
  end

  it "whose objects are collected at each allocation, while connections run, serves" do
    expect(ask("GC.stress = true; { :close => 'stressed' }\n")).to eq "stressed"
    expect_all_kinds("true")
  ensure
    ask("GC.stress = false; { :close => true }\n")
  end

  it "whose block runs under stress serves" do
    visitors = Array.new(20) { |number| connect.write("stressed { { :close => 'visitor #{number}' } }\n") }
    expect(visitors.map(&:read_all)).to eq Array.new(20) { |number| "visitor #{number}" }
  end

  it "whose objects move in each call serves" do
    expect_all_kinds("GC.compact")
  end

  it "whose objects move with each collection serves" do
    expect(ask("GC.auto_compact = true; { :close => 'compacting' }\n")).to eq "compacting"
    expect_all_kinds("GC.start")
  ensure
    ask("GC.auto_compact = false; { :close => true }\n")
  end

  it "whose objects all move, as far as they may, serves" do
    expect_all_kinds("move_everything")
  end

  it "whose thread collects and moves without a pause serves" do
    ask("$collecting = true; Thread.new { GC.compact while $collecting }; { :close => true }\n")
    expect_all_kinds("true")
    expect(Array.new(20) { |number| ask("{ :close => '#{number}' }\n") }).to eq (0...20).map(&:to_s)
  ensure
    ask("$collecting = false; { :close => true }\n")
  end

  it "whose block walks through all objects, its engine among them, serves" do
    expect(ask("{ :close => ObjectSpace.each_object(ProxyMachine::Engine).map(&:stats).size.to_s }\n")).to eq "1"
    expect(ask("{ :close => ObjectSpace.each_object.map(&:class).include?(ProxyMachine::Engine).to_s }\n")).to eq "true"
  end
end
