# frozen_string_literal: true

# The grace period of TERM, when TERM is not the only signal. All waits begin together. Their order is compared with
# each other, not with a clock.
RSpec.describe "Drain deadline of TERM:", :slow do
  before(:context) do
    echo = Backends.echo
    config = "proxy { |data| { :remote => #{echo.address.inspect} } }"
    @endings = Queue.new
    @waits = %i[term term_quit term_term quit_term later].to_h do |kind|
      wait = TimedShutdown.new(ProxyProcess.start(config), "x")
      wait.client.read(1)
      [kind, wait]
    end
    play
  end

  after(:context) { @waits.each_value { |wait| wait.proxy.stop } }

  # The server :later receives TERM after the others. The server :term_term then receives its second TERM.
  def play
    [%w[term TERM], %w[term_quit TERM], %w[term_term TERM], %w[quit_term QUIT]].each { |kind, name| hears(kind, name) }
    hears_more("term_quit", "QUIT")
    hears_more("quit_term", "TERM")
    sleep 2.5
    hears("later", "TERM")
    hears_more("term_term", "TERM")
    @waits.map { |kind, wait| Thread.new { wait.status && @endings << kind } }.each(&:join)
    @order = Array.new(@endings.size) { @endings.pop }
  end

  def hears(kind, name)
    @waits[kind.to_sym].signal(name)
    eventually { @waits[kind.to_sym].proxy.log.include?("Received #{name} signal") }
  end

  def hears_more(kind, name)
    @waits[kind.to_sym].proxy.signal(name)
  end

  it "is not extended by a later QUIT" do
    expect(@waits[:term_quit].status.exitstatus).to eq 1
    expect(@waits[:term_quit].seconds).to be >= 10.0
    expect(@order.index(:term_quit)).to be < @order.index(:later)
  end

  it "begins at TERM for a server that received QUIT before" do
    expect(@waits[:quit_term].status.exitstatus).to eq 1
    expect(@waits[:quit_term].seconds).to be >= 10.0
    expect(@order.index(:quit_term)).to be < @order.index(:later)
  end

  it "is not restarted by a second TERM" do
    expect(@waits[:term_term].status.exitstatus).to eq 1
    expect(@order.index(:term_term)).to be < @order.index(:later)
  end

  it "is ten seconds for all" do
    expect(@waits.values.map { |wait| wait.status.exitstatus }).to all(eq(1))
    expect(@waits.values.map(&:seconds)).to all(be >= 10.0)
    expect(@waits.values.map(&:client)).to all(be_ended)
  end
end
