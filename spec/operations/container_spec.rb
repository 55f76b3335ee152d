# frozen_string_literal: true

require "open3"

# In a container the program is process 1, which inherits the orphans of all others.
RSpec.describe "Process 1:" do
  in_namespace = %w[unshare --pid --fork --mount-proc --kill-child]

  config = <<~RUBY
    def orphan = system("sleep 0.1 &")
    def waited = Process.wait2(fork { orphan; exit!(3) }).last.exitstatus
    def late
      pid = fork { exit!(4) }
      sleep 0.2
      Process.wait2(pid).last.exitstatus
    end
    def detached = Process.detach(fork { exit!(5) }).value.exitstatus
    def read = IO.popen("echo 6; exit 7", &:read).to_i + $?.exitstatus
    proxy do |data|
      next :noop if data == "wait"

      orphan
      { :close => data == "pids" ? [Process.pid, Process.ppid].join(" ") : [waited, late, detached, read].join(" ") }
    end
  RUBY

  before(:context) do
    output, status = Open3.capture2e(*in_namespace, "true")
    skip "this process may not create a process namespace (#{output.chomp})" unless status.success?
  rescue Errno::ENOENT => e
    skip e.message
  end

  define_method(:start) do |*arguments|
    @proxy = ProxyProcess.new(config, through: in_namespace, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
    @port = eventually { @proxy.stdout[/Listening on 127\.0\.0\.1:(\d+)/, 1] }.to_i
    @init = children(@proxy.pid).first
  end

  # The kernel lists children by the thread that started them.
  def children(pid)
    Dir["/proc/#{pid}/task/*/children"].flat_map do |list|
      File.read(list).split.map(&:to_i)
    rescue Errno::ENOENT, Errno::ESRCH
      [] # The thread has just ended, and its children became those of another one.
    end
  end

  # The states of all processes in the namespace that are children of process 1.
  def states
    children(@init).filter_map do |pid|
      File.read("/proc/#{pid}/stat")[/\) (\S)/, 1]
    rescue Errno::ENOENT, Errno::ESRCH
      nil # It has just been reaped.
    end
  end

  def signal(name)
    Process.kill(name, @init)
  end

  def answer(text)
    client = Client.new(@port).write(text)
    client.read_all.tap { client.close }
  end

  { "one process" => [], "workers" => ["--workers", "2"] }.each do |what, arguments|
    it "reaps orphans, and leaves the children of the config alone, with #{what}" do
      start(*arguments)
      3.times { expect(answer("x")).to eq "3 4 5 13" }
      eventually { states.size == 1 }
      expect(states).not_to include "Z"
    end

    it "passes signals on and follows an upgrade, with #{what}" do
      start(*arguments)
      signal("HUP")
      eventually { @proxy.stdout.include?("Reloaded") }
      before = answer("pids")
      signal("USR2")
      eventually { @proxy.stdout.include?("has taken over") }
      eventually { answer("pids") != before }
      eventually { states.size == 1 }
      2.times do |count|
        signal("HUP")
        eventually { @proxy.stdout.scan("Reloaded").size == count + 2 }
      end
      signal("USR2")
      eventually { @proxy.stdout.scan("has taken over").size == 2 }
      signal("QUIT")
      expect(@proxy.wait.exitstatus).to eq 0
    end
  end

  # Returns a connection of the old server, and the new server, which is a child of the old one until that ends.
  def upgrade_with_a_connection
    client = Client.new(@port).write("wait")
    eventually { @proxy.stdout.include?("noop") }
    signal("USR2")
    id = eventually { @proxy.stdout[/process (\d+) has taken over/, 1] }
    [client, eventually { children(old).find { |pid| id_within(pid) == id } }]
  end

  # The process id inside the namespace.
  def id_within(pid)
    File.read("/proc/#{pid}/status")[/^NSpid:.*\s(\d+)$/, 1]
  rescue Errno::ENOENT, Errno::ESRCH
    nil # It has just ended.
  end

  def old = children(@init).first

  { "one process" => [], "workers" => ["--workers", "2"] }.each do |what, arguments|
    it "ends after the old server if the new one was killed before, with #{what}" do
      start(*arguments)
      client, new = upgrade_with_a_connection
      Process.kill("KILL", new)
      eventually { !File.exist?("/proc/#{new}") }
      expect(@proxy).to be_running
      client.close
      expect(@proxy.wait.exitstatus).to eq 137
    end
  end

  it "ends after the old server if the new one ends before" do
    start
    client, new = upgrade_with_a_connection
    signal("TERM")
    eventually { !File.exist?("/proc/#{new}") }
    client.close
    expect(@proxy.wait.exitstatus).to eq 0
  end

  it "ends with the status of the server" do
    start
    client = Client.new(@port).write("wait")
    eventually { @proxy.stdout.include?("noop") }
    signal("INT")
    eventually { @proxy.stdout.include?("Waiting for 1 connections") }
    signal("INT")
    expect(@proxy.wait.exitstatus).to eq 1
    client.close
  end

  it "ends with 128 and the number of the signal that ended the server" do
    start
    Process.kill("KILL", children(@init).first)
    expect(@proxy.wait.exitstatus).to eq 137
  end

  it "ends with the status and the message of a failed start" do
    child = ProxyProcess.new("raise 'oh'", through: in_namespace)
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to match(/\Aproxymachine: .*config\.rb:1: oh \(RuntimeError\)\n\z/)
  end

  it "hands the sockets of systemd on to the server" do
    TCPServer.open("127.0.0.1", 0) do |listener|
      port = listener.local_address.ip_port
      variables = { "LISTEN_PID" => "1", "LISTEN_FDS" => "1", "LISTEN_FDNAMES" => "web" }
      ProxyProcess.new("proxy { { :close => 'yes' } }", through: in_namespace, args: [], env: variables, 3 => listener)
      listener.close
      expect(Client.new(port).write("x").read_all).to eq "yes"
    end
  end
end
