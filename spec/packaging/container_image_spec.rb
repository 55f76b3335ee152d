# frozen_string_literal: true

require_relative "../../rakelib/lib/container_image"

# The image of Containerfile, which `rake container` builds, in a real runtime.
RSpec.describe "Container image:", :slow do
  before(:context) do
    file = "#{ContainerImage::DIR}/config.json"
    skip "`rake container` builds the image and runs these examples" unless ENV["CONTAINER"] && File.exist?(file)
    @config = JSON.parse(File.read(file))
    @root = "#{ContainerImage::DIR}/root"
  end

  attr_reader :config, :root

  def start(**options)
    Container.new(root, config, **options)
  end

  def serving(**options)
    start(**options).tap { |container| eventually { container.log.include?("Listening on") } }
  end

  request = "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"
  # Relays to a backend inside the container.
  echo = <<~RUBY
    backend = TCPServer.new("127.0.0.1", 0)
    Thread.new { loop { Thread.new(backend.accept) { |peer| IO.copy_stream(peer, peer) && peer.close } } }
    proxy { |data| { :remote => "127.0.0.1:\#{backend.addr[1]}" } }
  RUBY

  it "is smaller than 120 MB" do
    size = Shell.run("du", "--summarize", "--bytes", "--one-file-system", root).to_i
    puts "image: #{size / 1_000_000} MB"
    expect(size).to be < 120_000_000
  end

  it "has no compiler, and no set-user-id program of its own" do
    programs = Dir["#{root}/{usr/,usr/local/,}{bin,sbin}/*"].map { |path| File.basename(path) }
    expect(programs).to include("proxymachine", "ruby", "sh")
    expect(programs.grep(/\A(cargo|rustc|clang|make|ld|cc|c\+\+|.*-?(gcc|g\+\+)(-\d+)?)\z/)).to eq []
    expect(Dir["#{root}/var/lib/gems/**/*"].select { |path| File.setuid?(path) || File.setgid?(path) }).to eq []
  end

  it "names a user that is not root, a stop signal, a health check and the ports" do
    expect(config).to include("User" => "65532:65532", "StopSignal" => "SIGQUIT",
                              "ExposedPorts" => { "5432/tcp" => {}, "9432/tcp" => {} })
    expect(config.dig("Healthcheck", "Test")).to include("proxymachine", "top")
  end

  it "serves with its own config and a read-only root, as process 1, and logs to standard output" do
    container = serving
    expect(container.ask(5432, request)).to start_with("HTTP/1.1 404 Not Found\r\n")
    expect(container.exec("sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; id -u; touch /x").first)
      .to match(/proxymachine.*65532\n.*Read-only file system/m)
    eventually { container.log.include?(" 404 Not Found") }
    expect(container.stderr).to eq ""
  end

  it "is healthy while it serves, answers probes, and is not healthy otherwise" do
    container = serving
    eventually { container.healthy? }
    expect(container.ask(9432,
                         "GET /readyz HTTP/1.0\r\n\r\n")).to start_with("HTTP/1.1 200").or start_with("HTTP/1.0 200")
    silent = start(arguments: ["-c", "/config.rb", "--pidfile", "/dev/shm/pid"], files: { "/config.rb" => echo })
    eventually { silent.log.include?("Listening on") }
    expect(silent.healthy?).to be false
  end

  it "waits for the last connection after the stop signal" do
    container = serving(files: { "/etc/proxymachine/config.rb" => "require 'socket'\n#{echo}" })
    client = container.connect(5432)
    client.write("held")
    expect(client.readpartial(9)).to eq "held"
    container.signal(config["StopSignal"].delete_prefix("SIG"))
    eventually { container.log.include?("Waiting for 1 connections to finish.") }
    client.write("more")
    expect(client.readpartial(9)).to eq "more"
    expect(container).to be_running
    client.close_write
    expect(container.wait.exitstatus).to eq 0
  ensure
    client&.close
  end

  it "reloads by HUP, upgrades by USR2, and ends by TERM" do
    container = serving(arguments: [*config["Cmd"], "--workers", "2"])
    container.signal("HUP")
    eventually { container.log.include?("Reloaded") }
    container.signal("USR2")
    eventually { container.log.include?("has taken over") }
    eventually { container.healthy? }
    expect(container.ask(5432, request)).to start_with("HTTP/1.1 404")
    container.signal("TERM")
    expect(container.wait.exitstatus).to eq 0
  end

  it "says in one line why a config cannot be used" do
    container = start(files: { "/etc/proxymachine/config.rb" => "rutes" })
    expect(container.wait.exitstatus).to eq 1
    expect(container.stderr).to match(%r{\Aproxymachine: /etc/proxymachine/config\.rb:1: .*\n\z})
  end
end
