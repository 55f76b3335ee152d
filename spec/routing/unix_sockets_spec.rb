# frozen_string_literal: true

# unix:/path and unix:@name as listeners and remotes.
RSpec.describe "Unix sockets:" do
  before { @dir = Dir.mktmpdir("proxymachine-spec") }
  after { FileUtils.rm_rf(@dir) }

  let(:path) { File.join(@dir, "pm.sock") }
  let(:name) { "@proxymachine-spec-#{Process.pid}-#{SecureRandom.hex(4)}" }

  def answering(listen, answer = "{ :close => \"heard \#{data}\" }")
    ProxyProcess.start("#{listen}\nproxy { |data| #{answer} }")
  end

  def told_by(socket, text = "hello")
    UnixClient.new(socket).write(text).read_all
  end

  it "a listener may be a path or an abstract name" do
    answering("listen 'unix:#{path}'\nlisten 'unix:#{name}'")
    expect(told_by(path)).to eq "heard hello"
    expect(told_by(name)).to eq "heard hello"
  end

  it "a remote may be a path or an abstract name" do
    [path, name].each do |socket|
      UnixBackend.new("backend", socket)
      expect(ask("hello", answering("", "'unix:#{socket}'"))).to eq "backend:hello"
    end
  end

  it "a listener may have its own block" do
    proxy = ProxyProcess.start(<<~RUBY)
      listen "unix:#{path}", :name => :local
      proxy(:local) { |data| { :close => "local \#{data}" } }
      proxy { "unix:#{path}" }
    RUBY
    expect(ask("hello", proxy)).to eq "local hello"
    expect(proxy.settle.lines).to include "INFO Successful connection to unix:#{path}"
  end

  it ":reply, PROXY header and half-close work" do
    UnixBackend.new("backend", path)
    answer = { remote: "unix:#{path}", reply: "wait ", proxy_protocol: 1 }
    expect(ask("hello", answering("", answer.inspect))).to match(/\Await backend:PROXY TCP4 127.0.0.1 .*\r\nhello\z/m)
    listener = File.join(@dir, "in.sock")
    answering("listen 'unix:#{listener}'", { remote: "unix:#{path}", proxy_protocol: 1 }.inspect)
    expect(told_by(listener)).to eq "backend:PROXY UNKNOWN\r\nhello"
  end

  it "large payloads are relayed both ways" do
    bulk = Random.bytes(3_000_000)
    listener = File.join(@dir, "in.sock")
    backend = Backends.echo
    answering("listen 'unix:#{listener}'", backend.address.inspect)
    client = UnixClient.new(listener)
    writer = Thread.new { client.write(bulk).finish }
    expect(client.read(bulk.bytesize) == bulk).to be true
    writer.join
  end

  it "the file has the configured mode and owner" do
    user = Process.uid.zero? ? Etc.getpwnam("nobody") : Etc.getpwuid
    group = Etc.getgrgid(Process.uid.zero? ? user.gid : Process.gid)
    other = File.join(@dir, "other.sock")
    answering("listen 'unix:#{path}', :mode => 0640, :user => #{user.name.inspect}, :group => #{group.name.inspect}\n" \
              "listen 'unix:#{other}', :mode => 0600, :user => #{user.uid}, :group => #{group.gid}")
    expect([path, other].map { |file| File.stat(file) })
      .to match [have_attributes(mode: 0o140640, uid: user.uid, gid: group.gid),
                 have_attributes(mode: 0o140600, uid: user.uid, gid: group.gid)]
  end

  it "the file is removed at the server's end" do
    proxy = answering("listen 'unix:#{path}'")
    expect(File).to be_socket(path)
    proxy.signal("QUIT")
    proxy.wait
    expect(File).not_to exist(path)
  end

  it "the file of a killed server is replaced" do
    proxy = answering("listen 'unix:#{path}'")
    proxy.signal("KILL")
    proxy.wait
    expect(File).to be_socket(path)
    answering("listen 'unix:#{path}'")
    expect(told_by(path)).to eq "heard hello"
  end

  it "the file of a running server prevents the start of another" do
    answering("listen 'unix:#{path}'\nlisten 'unix:#{name}'")
    { path => "another process listens there", name => "Address already in use" }.each do |socket, reason|
      second = ProxyProcess.new("listen 'unix:#{socket}'\nproxy { :close }")
      expect(second.wait.exitstatus).to eq 1
      expect(second.stderr).to eq "proxymachine: cannot listen on unix:#{socket}: #{reason}\n"
      expect(told_by(socket)).to eq "heard hello"
    end
  end

  it "a file that is not a socket is not replaced" do
    File.write(path, "precious")
    second = ProxyProcess.new("listen 'unix:#{path}'\nproxy { :close }")
    expect(second.wait.exitstatus).to eq 1
    expect(second.stderr).to eq "proxymachine: cannot listen on unix:#{path}: there is a file of that name which is " \
                                "no socket\n"
    expect(File.read(path)).to eq "precious"
  end
end
