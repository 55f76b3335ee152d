# frozen_string_literal: true

# Garbage collection and compaction at every point: the extension must mark and pin the objects that it holds. `rake
# stress` does the same for a server's whole life.
RSpec.describe "Garbage collection:" do
  running(:echo) { Backends.echo }
  running(:closing) { Backends.closing }
  running(:silent) { Backends.silent }
  running(:proxy) do
    ScriptedProxy.start(<<~RUBY)
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
  check_fault_isolation(:proxy)

  # Ruby takes long when it collects at each allocation, even more so on a busy machine.
  def connect(to = proxy)
    Client.new(to.port, deadline: 100)
  end

  # Runs each kind of answer and of end, so that every use of Ruby objects in the extension is covered. `prelude` is
  # Ruby code at the beginning of the block, `last` that of one more client's.
  def expect_all_kinds(prelude, last = prelude)
    relay = connect.write("#{prelude}; ROUTE.merge(:reply => 'r', :data => 'd', :connect_timeout => 5)\n")
    expect(ask("#{prelude}; { :close => 'last words' }\n")).to eq "last words"
    expect(failing_answers.map { |answer| ask("#{prelude}; #{answer}\n") }).to all(eq(""))
    expect(relay.write("still there?").read(14)).to eq "rdstill there?"
    expect(ask("#{last}; { :close => 'done' }\n")).to eq "done"
    expect_problems("ERROR RuntimeError - a mistake", /\AWARN .* the proxy block raised at /,
                    /invalid answer #<Object/, /invalid remote "nowhere"/,
                    premature_end_line(closing), /Disconnecting #{silent.address}/)
  end

  def failing_answers
    ["raise 'a mistake'", "Object.new", "{ :remote => 'nowhere' }", "{ :remote => '#{closing.address}' }",
     "{ :remote => '#{silent.address}', :inactivity_timeout => 0.05 }"]
  end

  it "GC.stress while connections run", time_limit: 600 do
    expect(ask("GC.stress = true; { :close => 'stressed' }\n")).to eq "stressed"
    expect_all_kinds("true", "GC.stress = false")
  ensure
    ask("GC.stress = false; { :close => true }\n")
  end

  it "GC.stress within the block", time_limit: 600 do
    visitors = Array.new(20) { |number| connect.write("stressed { { :close => 'visitor #{number}' } }\n") }
    expect(visitors.map(&:read_all)).to eq Array.new(20) { |number| "visitor #{number}" }
  end

  it "compaction in each call of the block" do
    expect_all_kinds("GC.compact")
  end

  it "compaction with each collection" do
    expect(ask("GC.auto_compact = true; { :close => 'compacting' }\n")).to eq "compacting"
    expect_all_kinds("GC.start")
  ensure
    ask("GC.auto_compact = false; { :close => true }\n")
  end

  it "compaction that moves every movable object" do
    expect_all_kinds("move_everything")
  end

  it "compaction without pause in another thread" do
    ask("$collecting = true; Thread.new { GC.compact while $collecting }; { :close => true }\n")
    expect_all_kinds("true")
    expect(Array.new(20) { |number| ask("{ :close => '#{number}' }\n") }).to eq (0...20).map(&:to_s)
  ensure
    ask("$collecting = false; { :close => true }\n")
  end

  it "ObjectSpace iteration over all objects, the engine included" do
    expect(ask("{ :close => ObjectSpace.each_object(ProxyMachine::Engine).map(&:stats).size.to_s }\n")).to eq "1"
    expect(ask("{ :close => ObjectSpace.each_object.map(&:class).include?(ProxyMachine::Engine).to_s }\n")).to eq "true"
  end
end
