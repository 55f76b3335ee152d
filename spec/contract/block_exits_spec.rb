# frozen_string_literal: true

# CONTRACT 3: a block that ends the process ends the server.
RSpec.describe "Process exit in the block:" do
  # Returns the proxy after its block has run `source`.
  def ended_by(source)
    proxy = ProxyProcess.start(<<~RUBY)
      at_exit { puts "at_exit ran" }
      proxy { |data| data == "go" ? #{source} : { :noop => true } }
    RUBY
    @other_client = connect(proxy).write("wait")
    proxy.await(/noop/)
    @client = connect(proxy).write("go")
    proxy.wait
    proxy
  end

  def status_of(source)
    ended_by(source).wait
  end

  it "exit ends the server with its status" do
    expect(status_of("exit(3)").exitstatus).to eq 3
  end

  it "exit without a status ends the server with 0" do
    expect(status_of("exit").exitstatus).to eq 0
  end

  it "exit runs the config's at_exit blocks" do
    expect(ended_by("exit(3)").stdout).to include "at_exit ran\n"
  end

  it "exit! ends the server at once with its status" do
    proxy = ended_by("exit!(4)")
    expect(proxy.wait.exitstatus).to eq 4
    expect(proxy.stdout).not_to include "at_exit ran"
  end

  it "abort prints its message and ends the server with 1" do
    proxy = ended_by("abort('no way on')")
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to include "no way on\n"
  end

  it "Interrupt ends the server as the signal does" do
    status = status_of("raise(Interrupt, 'enough')")
    expect(status.termsig || (status.exitstatus - 128)).to eq Signal.list["INT"]
  end

  it "SignalException ends the server as the signal does" do
    status = status_of("raise(SignalException, 'SIGTERM')")
    expect(status.termsig || (status.exitstatus - 128)).to eq Signal.list["TERM"]
  end

  it "closes all connections" do
    ended_by("exit(0)")
    expect([@client, @other_client]).to all(be_ended)
  end

  it "prints no panic and no warning" do
    proxy = ended_by("exit(3)")
    expect(proxy.stderr).to eq ""
  end

  it "exit in a callback ends the server, too" do
    failing = Backends.closing
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data| { :remote => #{failing.address.inspect} } }
      proxy_connect_error { |remote| exit(5) }
    RUBY
    ask("x", proxy)
    expect(proxy.wait.exitstatus).to eq 5
  end
end
