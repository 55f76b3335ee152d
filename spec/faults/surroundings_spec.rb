# frozen_string_literal: true

require "open3"

# Limits and files that a start does not expect cost one sentence and a status, never a stack.
RSpec.describe "Odd surroundings:" do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(dir) }

  # A command that runs another one in which the directory is on a read-only file system.
  let(:read_only) do
    ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', dir]
  end

  # Runs the program to its end. Returns standard error and the status.
  def run(*arguments, config: "proxy { :close }", limits: {}, through: [])
    path = File.join(dir, "config.rb")
    File.write(path, config)
    _, err, status = Open3.capture3({ "RUST_BACKTRACE" => "1" }, *through, *ProxyProcess.command, "-c", path,
                                    "-h", "127.0.0.1", "-p", "0", *arguments, limits)
    [err, status.exitstatus]
  end

  it "little memory costs one sentence" do
    limit = 100_000_000 + (Yjit.enabled? ? Yjit::RESERVED : 0)
    err, status = run(limits: { rlimit_as: limit })
    expect(status).to eq 1
    expect(err).to start_with "proxymachine: "
    expect(err.lines.size).to eq 1
  end

  it "a full standard output of -t is an error" do
    err, status = run("-t", through: ["sh", "-c", 'exec "$@" >/dev/full', "-"])
    expect(status).to eq 1
    expect(err).to match(/\Aproxymachine: cannot write to standard output: .*\n\z/)
  end

  it "a config that closes standard error fails with its status" do
    expect(run("-t", config: "$stderr.close; raise 'oh'")).to eq ["", 1]
  end

  it "a start without enough threads announces nothing" do
    skip "only root can start a process as another user" unless Process.uid.zero?

    limited = [*OtherUser.prefix("nobody", "nogroup"), "prlimit", "--nproc=2"]
    shell = ["sh", "-c", 'exec "$@" 2>&1 | cat >&2; exit 1', "-"]
    err, = run("--admin", "127.0.0.1:0", "--access-log", "-", through: [*shell, *limited])
    expect(err).to match(/\Aproxymachine: cannot start the engine: .*\(ulimit -u, TasksMax=\)\n\z/)
  end

  it "a pidfile that is a FIFO is refused" do
    File.mkfifo(File.join(dir, "fifo"))
    err, status = run("--pidfile", File.join(dir, "fifo"))
    expect(status).to eq 1
    expect(err).to match(/\Aproxymachine: cannot write the pidfile .*\n\z/)
  end

  it "a limit of the size of files is no signal" do
    shell = ["sh", "-c", 'exec "$@" 2>&1 | cat >&2; exit 1', "-"]
    err, status = run("--pidfile", File.join(dir, "pid"), limits: { rlimit_fsize: 0 }, through: shell)
    expect(status).to eq 1
    expect(err).to match(/\Aproxymachine: cannot write the pidfile .*: File too large/)
    expect(File).not_to exist File.join(dir, "pid")
  end

  it "a config behind a loop of links, or with a name that is too long, is not called missing" do
    File.symlink("loop", File.join(dir, "loop"))
    { File.join(dir, "loop") => "Too many levels of symbolic links", "/#{"x" * 300}" => "File name too long" }
      .each do |path, reason|
        _, err, status = Open3.capture3(*ProxyProcess.command, "-c", path)
        expect([err, status.exitstatus]).to eq ["proxymachine: cannot read config file #{path}: #{reason}\n", 1]
      end
  end

  it "a process that may not lead a group, or learn its limits, does without" do
    refused = "class << Process; def setpgrp = raise(Errno::EPERM); def getrlimit(*) = raise(Errno::EPERM); end\n"
    preload = File.join(dir, "preload.rb")
    File.write(preload, refused)
    ruby, *rest = ProxyProcess.command
    proxy = ProxyProcess.new("proxy { { :close => 'served' } }", args: %w[-h 127.0.0.1 -p 0 --workers 2],
                                                                 program: [ruby, "-r", preload, *rest])
    port = proxy.await(/Serving with 2 workers/)[/:(\d+)\.\z/, 1].to_i
    expect(Client.new(port).write("x").read_all).to eq "served"
  end

  it "workers with an admin need no directory for temporary files that can be written, and -t agrees" do
    skip "a read-only file system takes mounts" unless system(*read_only, "true", err: File::NULL)

    arguments = %w[-h 127.0.0.1 -p 0 --workers 2 --admin 127.0.0.1:0]
    proxy = ProxyProcess.new("proxy { :close }", args: arguments, env: { "TMPDIR" => dir }, through: read_only)
    proxy.await(/Metrics and status on/)
    check = [*ProxyProcess.command, "-t", "-c", proxy.config_path, *arguments]
    _, err, status = Open3.capture3({ "TMPDIR" => dir }, *read_only, *check)
    # Ruby's own tmpdir warns since 3.4.
    expect([err.lines.grep_v(/\ATMPDIR is not writable: /), status.exitstatus]).to eq [[], 0]
  end

  it "a file system that is read-only is named by -t" do
    skip "a read-only file system takes mounts" unless system(*read_only, "true", err: File::NULL)

    File.write(File.join(dir, "config.rb"), "proxy { :close }")
    [["-t"], []].each do |arguments|
      _, err, status = Open3.capture3(*read_only, *ProxyProcess.command, "-c", File.join(dir, "config.rb"), "-p", "0",
                                      "--pidfile", File.join(dir, "pid"), *arguments)
      expect([err, status.exitstatus]).to match [/cannot write the pidfile .*: Read-only file system/, 1]
    end
  end
end
