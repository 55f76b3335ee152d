# frozen_string_literal: true

# The specification's main use: Git clients are routed to the server that has their user's repositories.
RSpec.describe "examples/git.rb:" do
  # Creates a user's repository in its own directory, and starts a daemon that serves it.
  def daemon_for(user)
    base = Dir.mktmpdir("proxymachine-git")
    (@bases ||= []) << base
    FileUtils.mkdir_p(File.join(base, user))
    files = { "README" => "of #{user}\n", "data" => Payload.bytes(300_000, user) }
    Git.repository(File.join(base, user, "project.git"), files)
    Git.repository(File.join(base, user, "pushed.git"), "README" => "to be pushed to\n")
    GitDaemon.start(base)
  end

  running(:alice) { daemon_for("alice") }
  running(:bob) { daemon_for("bob") }
  running(:proxy) do
    ExampleConfig.start("git", "GIT_ROUTES" => "alice=#{alice.address},bob=#{bob.address},none=#{refused_address}")
  end
  after(:context) { @bases.each { |base| FileUtils.rm_rf(base) } }

  around { |example| Dir.mktmpdir { |dir| (@work = dir) && example.run } }

  def url(user, repository = "project.git", to = proxy)
    "git://127.0.0.1:#{to.port}/#{user}/#{repository}"
  end

  def clone(user, *options, repository: "project.git")
    target = File.join(@work, "clone-of-#{user}-#{SecureRandom.hex(4)}")
    Git.run(*options, "clone", "--quiet", url(user, repository), target)
    target
  end

  %w[alice bob].each do |user|
    it "routes a clone of #{user}'s repository to #{user}'s server, byte for byte" do
      target = clone(user)
      expect(File.read(File.join(target, "README"))).to eq "of #{user}\n"
      expect(File.binread(File.join(target, "data"))).to eq Payload.bytes(300_000, user)
      Git.run("fsck", "--strict", in_dir: target)
      proxy.await("INFO Proxying for user #{user}")
    end

    it "routes ls-remote for #{user}" do
      direct = Git.run("ls-remote", url(user, "project.git", public_send(user)))
      expect(direct).to include "refs/heads/main"
      expect(Git.run("ls-remote", url(user))).to eq direct
    end
  end

  it "supports old and new protocol versions" do
    [0, 1, 2].each do |version|
      target = clone("bob", "-c", "protocol.version=#{version}")
      expect(File.read(File.join(target, "README"))).to eq "of bob\n"
    end
  end

  it "closes the connections of unknown users" do
    expect { clone("mallory") }.to raise_error(Git::Failure)
    proxy.await("INFO Proxying for user mallory")
    expect(proxy.settled_log).not_to include "Establishing new connection"
  end

  it "closes a connection that is not Git" do
    expect(ask("GET / HTTP/1.1\r\n\r\n")).to eq ""
    expect(proxy.errors).to eq []
  end

  it "relays the server's error for a missing repository" do
    expect { Git.run("ls-remote", url("alice", "nothing.git")) }.to raise_error(Git::Failure, /nothing\.git|not found/)
  end

  it "waits for a request in several chunks" do
    request = "git-upload-pack /alice/project.git\0host=127.0.0.1\0"
    whole = format("%<size>04x%<request>s", size: request.size + 4, request: request)
    client = connect
    whole.each_char.each_slice(7) do |slice|
      client.write(slice.join)
      eventually { proxy.lines.grep(/#{client.address} /).any? }
    end
    expect(client.read(50)).to match(/\A\h{4}\h{40} HEAD/)
  end

  it "relays a push of 50 MB and its clone intact", time_limit: 600 do
    target = clone("alice", repository: "pushed.git")
    blob = Payload.bytes(50 * 1024 * 1024, "push")
    Git.commit(target, "blob" => blob)
    Git.run("push", "--quiet", "origin", "main", in_dir: target)
    received = File.binread(File.join(clone("alice", repository: "pushed.git"), "blob"))
    expect(Payload.digest(received)).to eq Payload.digest(blob)
  end

  it "serves several clones at once" do
    clones = %w[alice bob alice bob].map { |user| [user, Thread.new { clone(user) }] }
    clones.each do |user, thread|
      expect(File.read(File.join(thread.value, "README"))).to eq "of #{user}\n"
    end
  end
end
