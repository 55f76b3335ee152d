# frozen_string_literal: true

# CONTRACT 7 and 3: the promises that take ten or twenty seconds to keep. All begin together, each with a proxy of its
# own, and each example then looks at the outcome of one.
RSpec.describe "After a long wait" do
  before(:context) do
    silent = Backends.silent
    config = <<~RUBY
      proxy do |data|
        case data
        when "wait" then { :noop => true }
        when "sleep" then sleep
        when "spin" then loop {}
        when "rescue" then begin; sleep; rescue StandardError; retry; end
        when "black hole" then { :remote => #{Backends.black_hole.address.inspect} }
        else { :remote => #{silent.address.inspect} }
        end
      end
    RUBY
    begin_wait = ->(request) { LongWait.new(ProxyProcess.start(config), request) }
    @black_hole = begin_wait.call("black hole")
    @established = %w[QUIT TERM INT].to_h { |name| [name, begin_wait.call("stay")] }
    @undecided = %w[QUIT TERM].to_h { |name| [name, begin_wait.call("wait")] }
    @stuck = %w[sleep spin rescue].to_h { |how| [how, begin_wait.call(how)] }
    @established.each { |name, wait| await_line(wait, /Successful connection/) && wait.signal(name) }
    @undecided.each { |name, wait| await_line(wait, /noop/) && wait.signal(name) }
    @stuck.each_value { |wait| await_line(wait, /Accepted/) && wait.signal("TERM") }
  end

  after(:context) do
    [@black_hole, *@established.values, *@undecided.values, *@stuck.values].each { |wait| wait.proxy.stop }
  end

  def await_line(wait, pattern)
    eventually { wait.proxy.log =~ pattern }
  end

  %w[TERM INT].each do |name|
    it "of ten seconds #{name} forces the connections that are left to end, and exits with 1" do
      wait = @established[name]
      expect(wait.status.exitstatus).to eq 1
      expect(wait.seconds).to be >= 10.0
      expect(wait.client).to be_ended
    end
  end

  it "QUIT still waits, and exits with 0 when the connection ends" do
    wait = @established["QUIT"]
    @established.fetch("TERM").status # more than ten seconds are over
    expect(wait.proxy).to be_running
    wait.client.reset
    expect(wait.status).to be_success
    expect(wait.seconds).to be >= 10.0
  end

  %w[QUIT TERM].each do |name|
    it "of ten seconds a client that is still undecided is closed, and #{name} holds no longer" do
      wait = @undecided[name]
      expect(wait.status).to be_exited
      expect(wait.seconds).to be >= 9.9
      expect(wait.client).to be_ended
    end
  end

  it "QUIT exits with 0 when only undecided clients were left" do
    expect(@undecided["QUIT"].status).to be_success
  end

  %w[sleep spin rescue].each do |how|
    it "of ten seconds TERM also ends a server whose block does not return: #{how}" do
      wait = @stuck[how]
      expect(wait.status.exitstatus).to eq 1
      expect(wait.seconds).to be >= 10.0
    end
  end

  it "of twenty seconds an attempt ends for which no :connect_timeout was given, and not before" do
    retrying = eventually(within: 40) { @black_hole.proxy.log[/.*WARN -- : Retrying connection with/] }
    trying = @black_hole.proxy.log[/.*INFO -- : Establishing/]
    begun, ended = [trying, retrying].map { |line| Time.parse(line[/\d{4}-\S+/]) }
    expect(ended - begun).to be >= 19.9
  end
end
