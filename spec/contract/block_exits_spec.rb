# frozen_string_literal: true

# CONTRACT 3: what asks for the end of the process gets it.
RSpec.describe "A block that ends the process" do
  # The proxy after a client made its block run `source`.
  def ended_by(source)
    proxy = ProxyProcess.start(<<~RUBY)
      at_exit { puts "at_exit ran" }
      proxy { |data| data == "go" ? #{source} : { :noop => true } }
    RUBY
    @bystander = connect(proxy).write("wait")
    proxy.await(/noop/)
    @client = connect(proxy).write("go")
    proxy.wait
    proxy
  end

  def status_of(source)
    ended_by(source).wait
  end

  it "exits with the status that exit names" do
    expect(status_of("exit(3)").exitstatus).to eq 3
  end

  it "exits with 0 when exit names none" do
    expect(status_of("exit").exitstatus).to eq 0
  end

  it "runs the config's at_exit blocks on exit" do
    expect(ended_by("exit(3)").stdout).to include "at_exit ran\n"
  end

  it "exits with the status that exit! names, at once" do
    proxy = ended_by("exit!(4)")
    expect(proxy.wait.exitstatus).to eq 4
    expect(proxy.stdout).not_to include "at_exit ran"
  end

  it "says what abort says and exits with 1" do
    proxy = ended_by("abort('no way on')")
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to include "no way on\n"
  end

  it "ends as by the signal when Interrupt is raised" do
    status = status_of("raise(Interrupt, 'enough')")
    expect(status.termsig || (status.exitstatus - 128)).to eq Signal.list["INT"]
  end

  it "ends as by the signal when SignalException is raised" do
    status = status_of("raise(SignalException, 'SIGTERM')")
    expect(status.termsig || (status.exitstatus - 128)).to eq Signal.list["TERM"]
  end

  it "closes all connections" do
    ended_by("exit(0)")
    expect([@client, @bystander]).to all(be_ended)
  end

  it "leaves no panic and no warning behind" do
    proxy = ended_by("exit(3)")
    expect(proxy.stderr).to eq ""
  end

  it "may be a callback" do
    failing = Backends.closing
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data| { :remote => #{failing.address.inspect} } }
      proxy_connect_error { |remote| exit(5) }
    RUBY
    ask("x", proxy)
    expect(proxy.wait.exitstatus).to eq 5
  end
end
