# frozen_string_literal: true

# Twenty busy Ruby threads beside the server. Ruby's time slice is 100 ms, so that a decision waits for two seconds of
# processor time. Established connections do not wait.
RSpec.describe "Twenty busy Ruby threads:" do
  running(:echo) { Backends.echo }
  # The threads are busy while the file exists.
  running(:proxy) do
    ScriptedProxy.start(<<~RUBY)
      BUSY = LOG_FILE
      def twenty(&work) 20.times { Thread.new { work.call while File.exist?(BUSY) } } end
    RUBY
  end
  check_fault_isolation(:proxy)

  let(:sign) { File.join(proxy.dir, "log") }
  before { File.write(sign, "") }
  # Declared last, this hook runs before the check of fault isolation.
  after { FileUtils.rm_f(sign) }

  def relay
    connect.write(ScriptedProxy.route_to(echo)).tap do |client|
      expect(client.read(ScriptedProxy.route_to(echo).size)).to eq ScriptedProxy.route_to(echo)
    end
  end

  {
    "that compute" => "1_000_000.times { |n| Math.sqrt(n) }",
    "that allocate" => "Array.new(100) { 'x' * 100 }",
    "that sleep and wake" => "sleep 0.001",
    "that read and write" => "IO.pipe { |reader, writer| writer << 'x'; reader.readpartial(1) }",
    "that come and go" => "Thread.new { 1 }.join"
  }.each do |what, work|
    it "established connections are relayed, and decisions are made in the end: #{what}" do
      established = relay
      expect(ask("twenty { #{work} }; { :close => 'begun' }\n")).to eq "begun"
      200.times { |number| expect(established.write(number.to_s.rjust(8)).read(8)).to eq number.to_s.rjust(8) }
      waiting = connect.write("{ :close => 'decided' }\n")
      expect(waiting.read_all).to eq "decided"
    end
  end

  it "QUIT is handled" do
    busy = "20.times { Thread.new { sleep 0.001 while File.exist?(BUSY) } }"
    other = ScriptedProxy.start("BUSY = #{sign.inspect}\n#{busy}")
    other.signal("QUIT")
    expect(other.wait).to be_success
  end
end
