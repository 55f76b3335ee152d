# frozen_string_literal: true

# Twenty Ruby threads beside the server. Ruby lets each run for 100 ms, so that whoever needs Ruby waits for two seconds
# of processor time: decisions do, established connections do not.
RSpec.describe "A server beside twenty busy threads" do
  running(:echo) { Backends.echo }
  # They are busy for as long as the file is there.
  running(:proxy) do
    Puppet.start(<<~RUBY)
      BUSY = LOG_FILE
      def twenty(&work) 20.times { Thread.new { work.call while File.exist?(BUSY) } } end
    RUBY
  end
  unharmed(:proxy)

  let(:sign) { File.join(proxy.dir, "log") }
  before { File.write(sign, "") }
  # Declared last, this runs first: before it is looked whether all is well.
  after { FileUtils.rm_f(sign) }

  def relay
    connect.write(Puppet.to(echo)).tap do |client|
      expect(client.read(Puppet.to(echo).size)).to eq Puppet.to(echo)
    end
  end

  {
    "that compute" => "1_000_000.times { |n| Math.sqrt(n) }",
    "that allocate" => "Array.new(100) { 'x' * 100 }",
    "that sleep and wake" => "sleep 0.001",
    "that read and write" => "IO.pipe { |reader, writer| writer << 'x'; reader.readpartial(1) }",
    "that come and go" => "Thread.new { 1 }.join"
  }.each do |what, work|
    it "#{what} passes on what is established, and decides in the end" do
      established = relay
      expect(ask("twenty { #{work} }; { :close => 'begun' }\n")).to eq "begun"
      200.times { |number| expect(established.write(number.to_s.rjust(8)).read(8)).to eq number.to_s.rjust(8) }
      waiting = connect.write("{ :close => 'decided' }\n")
      expect(waiting.read_all).to eq "decided"
    end
  end

  it "hears QUIT" do
    other = Puppet.start("BUSY = #{sign.inspect}\n20.times { Thread.new { sleep 0.001 while File.exist?(BUSY) } }")
    other.signal("QUIT")
    expect(other.wait).to be_success
  end
end
