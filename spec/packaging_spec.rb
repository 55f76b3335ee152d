# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "rubygems/package"
require "socket"
require "tmpdir"

# The gem as a user gets it: built, installed into an empty GEM_HOME, run from there.
#
# Installing compiles the extension anew, a minute's work. So that a second run is fast, the compiled
# crates are kept under tmp, except in CI, where the gem is built exactly as on a user's machine.
RSpec.describe "the packaged gem" do
  root = File.expand_path("..", __dir__)

  def run(env, *command, chdir:)
    output, status = Open3.capture2e(env, *command, chdir: chdir, stdin_data: "")
    raise "#{command.join(" ")} failed:\n#{output}" unless status.success?

    output
  end

  # Only what the system itself brings is visible beside the empty GEM_HOME.
  def environment
    { "GEM_HOME" => @gem_home, "GEM_PATH" => nil, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil }
  end

  # RubyGems runs `make clean` first; without its lists of files it cleans nothing.
  def compiled_crates_of_last_time(root)
    return {} if ENV["CI"]

    { "RB_SYS_CARGO_TARGET_DIR" => "#{root}/tmp/packaging", "MAKEFLAGS" => "CLEANOBJS= CLEANLIBS= CLEANFILES=" }
  end

  def installed(*path)
    File.join(@gem_home, *path)
  end

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-gem")
    @gem_home = File.join(@dir, "home")
    @gem = File.join(@dir, "proxymachine.gem")
    run(environment, "gem", "build", "--strict", "--output", @gem, "proxymachine.gemspec", chdir: root)
    run(environment.merge(compiled_crates_of_last_time(root)),
        "gem", "install", "--local", "--no-document", @gem, chdir: @dir)
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  it "holds the sources that it is built from, and nothing that was built" do
    files = Gem::Package.new(@gem).spec.files

    expect(files).to include("Cargo.toml", "Cargo.lock", "ext/engine/src/lib.rs", "ext/proxymachine/src/lib.rs",
                             "ext/sniff/src/lib.rs", "ext/admin/src/lib.rs", "ext/admin/src/page.html",
                             "lib/proxymachine.rb", "exe/proxymachine", "examples/git.rb", "README.md", "LICENSE")
    expect(files.grep(%r{\.(so|bundle|gem|o)\z|/target/|\A(spec|tmp|pkg|bench)/})).to be_empty
  end

  it "tells its version from an empty GEM_HOME" do
    expect(run(environment, installed("bin", "proxymachine"), "--version", chdir: @dir)).to eq("proxymachine 2.0.0\n")
  end

  it "proxies a connection from an empty GEM_HOME" do
    backend = TCPServer.new("127.0.0.1", 0)
    answering = Thread.new { backend.accept.then { |peer| peer.write("you said #{peer.gets}") && peer.close } }
    config = File.join(@dir, "config.rb")
    File.write(config, %(proxy { |data| { :remote => "127.0.0.1:#{backend.addr[1]}" } }\n))

    IO.popen([environment, installed("bin", "proxymachine"), "-c", config, "-h", "127.0.0.1", "-p", "0"]) do |proxy|
      port = nil
      port = proxy.gets[/Listening on 127\.0\.0\.1:(\d+)/, 1] until port
      client = TCPSocket.new("127.0.0.1", port)
      client.write("hello\n")

      expect(client.read).to eq("you said hello\n")
    ensure
      Process.kill(:TERM, proxy.pid)
      proxy.read
    end
    expect(Process.last_status).to be_success
  ensure
    answering&.kill
    backend&.close
  end

  it "stays small: what cargo made on the way is gone" do
    sizes = Dir.glob(installed("**", "*")).select { |file| File.file?(file) }.to_h { |file| [file, File.size(file)] }

    expect(Dir.glob(installed("**", "target"))).to be_empty
    expect(sizes.values.sum).to be < 20_000_000
  end
end
