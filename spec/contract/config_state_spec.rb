# frozen_string_literal: true

# CONTRACT 1, "Real configs": the state that a block may rely on, and other actions of a config in the process.
RSpec.describe "Config state:" do
  def config(text)
    ProxyProcess.start(text)
  end

  it "self in the block is main, with the instance variables set at top level" do
    proxy = config(<<~'RUBY')
      @routes = { "a" => "first" }
      @asked = 0
      proxy { |data| @asked += 1; { :close => "#{self} #{@routes[data]} #{@asked}" } }
    RUBY
    expect(Array.new(2) { ask("a", proxy) }).to eq ["main first 1", "main first 2"]
  end

  it "the block reads and changes the local variables of its closure" do
    proxy = config("seen = []\nproxy { |data| seen << data.dup; { :close => seen.join(',') } }")
    expect(%w[a b c].map { |word| ask(word, proxy) }).to eq %w[a a,b a,b,c]
  end

  it "the block matches the data with $1, named captures and binary regexes" do
    proxy = config(<<~'RUBY')
      proxy do |data|
        if data =~ %r{\A....git-upload-pack /([\w.\-]+)/[\w.\-]+\000host=(.+)\000}n
          user, host = $1, $2
          /(?<letter>[a-z])/ =~ data
          { :close => "#{user} #{host} #{letter}" }
        elsif data =~ /\xFF\xFE(.)/n
          { :close => $1 }
        else
          { :noop => true }
        end
      end
    RUBY
    expect(ask("0033git-upload-pack /alice/repo.git\0host=example.com\0", proxy)).to eq "alice example.com g"
    expect(ask("\xFF\xFEx".b, proxy)).to eq "x"
  end

  it "the block unpacks binary data" do
    proxy = config(<<~'RUBY')
      proxy do |data|
        v, c, port, o1, o2, o3, o4, user = data.unpack("CCnC4a*")
        { :close => "#{v} #{c} #{[o1, o2, o3, o4] * '.'}:#{port} #{user[0, user.index("\0")]}" }
      end
    RUBY
    expect(ask([4, 1, 80, 127, 0, 0, 1, "bob\0"].pack("CCnC4a*"), proxy)).to eq "4 1 127.0.0.1:80 bob"
  end

  it "threads of the config run beside the server and change the block's state" do
    proxy = config(<<~RUBY)
      $rounds = 0
      Thread.new { loop { $rounds += 1; sleep 0.01 } }
      proxy { |data| { :close => $rounds.to_s } }
    RUBY
    first = ask("?", proxy).to_i
    eventually { expect(ask("?", proxy).to_i).to be > first + 2 }
  end

  it "the block may call rand" do
    proxy = config("proxy { |data| { :close => %w[a b].sort_by { rand }.first } }")
    expect(ask("?", proxy)).to eq("a").or eq("b")
  end

  it "puts in the file and in the block prints in order with the log" do
    proxy = config("puts 'loading'\nproxy { |data| puts \"asked \#{data}\"; { :close => true } }")
    ask("this", proxy)
    eventually { expect(proxy.stdout).to match(/\Aloading\n.*Listening on.*^asked this$/m) }
  end

  it "the block may wait for a network lookup and route by its result" do
    directory = Backend.new { |session| session.write("address of #{session.read}") }
    proxy = config(<<~RUBY)
      proxy do |data|
        answer = TCPSocket.open("127.0.0.1", #{directory.port}) { |s| s.write(data); s.read }
        { :close => answer }
      end
    RUBY
    expect(ask("alice", proxy)).to eq "address of alice"
  end

  it "Timeout.timeout in the block limits a lookup" do
    proxy = config(<<~RUBY)
      require "timeout"
      proxy do |data|
        begin
          Timeout.timeout(0.1) { sleep }
        rescue Timeout::Error
          { :close => "too late" }
        end
      end
    RUBY
    expect(ask("?", proxy)).to eq "too late"
  end

  it "a failure callback may change the routes of later clients" do
    good = Backends.once("good")
    bad = Backends.closing
    proxy = config(<<~RUBY)
      $routes = [#{bad.address.inspect}, #{good.address.inspect}]
      proxy { |data| { :remote => $routes.first } }
      proxy_connect_error { |remote| $routes.delete(remote) }
    RUBY
    expect(ask("x", proxy)).to eq ""
    expect(ask("x", proxy)).to eq "good:x"
  end

  # The traps write to another file than the log: Ruby does not let a trap write to an IO that is in the middle of a
  # write.
  it "traps of the config stay installed" do
    proxy = config(<<~RUBY)
      %w[USR1 USR2 HUP WINCH].each { |name| trap(name) { warn "got \#{name}" } }
      proxy { |data| { :close => "served" } }
    RUBY
    %w[USR1 USR2 HUP WINCH].each do |name|
      proxy.signal(name)
      eventually { expect(proxy.stderr).to include "got #{name}\n" }
    end
    expect(ask("?", proxy)).to eq "served"
  end
end
