# frozen_string_literal: true

# CONTRACT 3: the syntax of a remote, and invalid remotes.
RSpec.describe "Remote syntax:" do
  running(:backend) { Backends.once("v4") }
  running(:backend6) { Backends.once("v6", host: "::1") }
  running(:proxy) do
    ProxyProcess.start(<<~RUBY)
      proxy { |data| eval(data) }
      proxy_connect_error { |remote| puts "callback for \#{remote}" }
      proxy_inactivity_error { |remote| puts "callback for \#{remote}" }
    RUBY
  end

  # Returns the client's data when the block answers with the remote in `source`.
  def routed(source)
    ask("{ :remote => #{source} }")
  end

  describe "a valid remote" do
    it "may be an address and a port" do
      expect(routed("'127.0.0.1:#{backend.port}'")).to start_with "v4:"
    end

    it "may be a name and a port" do
      expect(routed("'localhost:#{backend.port}'")).to start_with "v4:"
    end

    it "may be an IPv6 address in brackets and a port" do
      expect(routed("'[::1]:#{backend6.port}'")).to start_with "v6:"
    end

    it "may be an IPv6 address without brackets and a port, split at the last colon" do
      expect(routed("'::1:#{backend6.port}'")).to start_with "v6:"
    end

    it "may be a Symbol" do
      expect(routed(":'127.0.0.1:#{backend.port}'")).to start_with "v4:"
    end

    it "may have blanks around the port" do
      expect(routed("'127.0.0.1: #{backend.port} '")).to start_with "v4:"
      expect(routed("\"127.0.0.1:#{backend.port}\\n\"")).to start_with "v4:"
    end

    it "is logged as written" do
      routed("'127.0.0.1: #{backend.port} '")
      proxy.await("INFO Successful connection to 127.0.0.1: #{backend.port} ")
    end

    it "may be the whole answer" do
      expect(ask("'127.0.0.1:#{backend.port}'")).to start_with "v4:"
      expect(ask("'[::1]:#{backend6.port}'")).to start_with "v6:"
    end

    it "may be a String in any ASCII-compatible encoding" do
      expect(routed("'127.0.0.1:#{backend.port}'.b")).to start_with "v4:"
      expect(routed("'127.0.0.1:#{backend.port}'.encode('ISO-8859-1')")).to start_with "v4:"
    end
  end

  {
    "has no port" => "127.0.0.1",
    "has nothing but a name" => "backend",
    "is empty" => "",
    "has an empty port" => "127.0.0.1:",
    "has an empty host" => ":80",
    "has blanks for a host" => " :80",
    "has port 0" => "127.0.0.1:0",
    "has a port above 65535" => "127.0.0.1:65536",
    "has a port far above 65535" => "127.0.0.1:99999999999999999999",
    "has a negative port" => "127.0.0.1:-80",
    "has a port that is no number" => "127.0.0.1:http",
    "has a port that only begins as a number" => "127.0.0.1:80x",
    "is a number" => 8080,
    "is an Array" => ["127.0.0.1", 80],
    "is a Hash" => { host: "127.0.0.1" }
  }.each do |what, remote|
    it "a remote that #{what} closes the connection with one ERROR line, without retry and callback" do
      expect(routed(remote.inspect)).to eq ""
      expect(proxy.errors.size).to eq 1
      expect(proxy.errors.first).to include remote.inspect
      expect(proxy.settle.lines.grep(/Establishing|Retrying/)).to eq []
      expect(proxy.settled_log).not_to include "callback"
    end
  end

  it "a whole answer without a port closes the connection with one ERROR line that names it" do
    expect(ask("'backend'")).to eq ""
    expect(proxy.errors).to match [/"backend"/]
    expect(proxy.settle.lines.grep(/Establishing|Retrying/)).to eq []
  end
end
