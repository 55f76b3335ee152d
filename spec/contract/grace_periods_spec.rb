# frozen_string_literal: true

# CONTRACT 7 and 3: grace periods and timeouts of ten and twenty seconds. All waits begin together, each with its own
# proxy, and each example checks the outcome of one.
RSpec.describe "Grace period:", :slow do
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
    begin_wait = ->(request) { TimedShutdown.new(ProxyProcess.start(config), request) }
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
    it "#{name} closes the remaining connections after ten seconds and exits with 1" do
      wait = @established[name]
      expect(wait.status.exitstatus).to eq 1
      expect(wait.seconds).to be >= 10.0
      expect(wait.client).to be_ended
    end
  end

  it "QUIT waits without a limit and exits with 0 when the last connection ends" do
    wait = @established["QUIT"]
    @established.fetch("TERM").status # more than ten seconds have passed
    expect(wait.proxy).to be_running
    wait.client.reset
    expect(wait.status).to be_success
    expect(wait.seconds).to be >= 10.0
  end

  %w[QUIT TERM].each do |name|
    it "#{name} closes an undecided client after ten seconds" do
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
    it "TERM ends a server whose block does not return after ten seconds: #{how}" do
      wait = @stuck[how]
      expect(wait.status.exitstatus).to eq 1
      expect(wait.seconds).to be >= 10.0
    end
  end

  it "a connection attempt without :connect_timeout ends after twenty seconds, and not before" do
    retrying = eventually(within: 40) { @black_hole.proxy.log[/.*WARN -- : Retrying connection with/] }
    trying = @black_hole.proxy.log[/.*INFO -- : Establishing/]
    begun, ended = [trying, retrying].map { |line| Time.parse(line[/\d{4}-\S+/]) }
    expect(ended - begun).to be >= 19.9
  end
end
