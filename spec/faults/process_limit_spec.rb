# frozen_string_literal: true

# The limit of processes (RLIMIT_NPROC; pids.max of a container gives the same EAGAIN). Ruby's fork and spawn would wait
# for ever until the system allows a process.
RSpec.describe "Limit of processes:" do
  before { skip "only root can start a process as another user, for whom the limit counts" unless Process.uid.zero? }

  cure = "Resource temporarily unavailable(?: - fork\\(2\\))?: " \
         "raise the limit of processes and threads \\(ulimit -u, TasksMax=\\)"
  config = 'proxy { |data| data == "die" ? exit!(3) : { :close => "served" } }'

  # Another user for each example: the limit counts all processes of a user.
  let(:user) { 100_000 + (Process.pid * 50) + rand(50) }
  let(:as_user) { OtherUser.prefix(user) }

  def start(config, *arguments, through: as_user)
    ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments], through: through)
  end

  def serving(config, *arguments)
    start(config, *arguments).tap do |proxy|
      port = proxy.await(/Listening on 127\.0\.0\.1:\d+/)[/:(\d+)\.?\z/, 1].to_i
      proxy.instance_variable_set(:@port, port)
    end
  end

  def limit(proxy, count)
    system(*as_user, "prlimit", "--pid", proxy.pid.to_s, "--nproc=#{count}:", exception: true)
  end

  def await_after(proxy, signal, pattern)
    proxy.mark_log
    proxy.signal(signal)
    proxy.await(pattern)
  end

  # Whether the program serves; false if it has ended.
  def serves?(proxy)
    eventually { !proxy.running? || proxy.log.match?(/Listening on/) }
    proxy.running?
  end

  # Ruby 3.4 waits for ever where it can start no thread of its own, in a forked child, too.
  def starts_ruby?(prefix)
    script = "Process.wait(fork { Thread.new {}.join })"
    ruby = Process.detach(spawn(*prefix, RbConfig.ruby, "-e", script, %i[out err] => File::NULL, pgroup: true))
    ruby.join(5) || (Process.kill("KILL", -ruby.pid) && ruby.join && false) # The child, too.
  end

  def finish(proxy)
    proxy.signal("TERM")
    expect(proxy.wait).to be_success
  end

  { "one process" => [], "workers" => %w[--workers 2 --admin 127.0.0.1:0] }.each do |name, arguments|
    describe "with #{name}," do
      let(:proxy) { serving(config, *arguments) }

      it "an upgrade fails with the limit, and the server goes on" do
        limit(proxy, 1)
        await_after(proxy, "USR2", /(?:ERROR|WARN) Cannot upgrade: .*#{cure}/)
        expect(ask("x", proxy)).to eq "served"
        limit(proxy, 1000)
        finish(proxy)
      end

      it "a start fails with the limit" do
        (1..6).each do |count|
          limited = [*as_user, "prlimit", "--nproc=#{count}"]
          next unless starts_ruby?(limited)

          refused = start(config, *arguments, through: limited)
          next finish(refused) if serves?(refused)

          expect(refused.wait.exitstatus).to eq 1
          expect(refused.stderr).to match(/\Aproxymachine: .*#{cure}\n\z/)
        end
      end
    end
  end

  describe "workers:" do
    let(:proxy) { serving(config, "--workers", "2") }

    it "a reload fails with the limit, and works when there is room" do
      limit(proxy, 1)
      await_after(proxy, "HUP", /ERROR Cannot reload .*: cannot load the config in a child process: #{cure}\. What was/)
      expect(ask("x", proxy)).to eq "served"
      limit(proxy, 1000)
      await_after(proxy, "HUP", /INFO Reloaded/)
    end

    it "a worker that ended is replaced when there is room" do
      limit(proxy, 1)
      connect(proxy).write("die").read_all
      proxy.await(/ERROR cannot start a worker: #{cure}\z/)
      expect(ask("x", proxy)).to eq "served"
      limit(proxy, 1000)
      eventually { expect(proxy.children.size).to eq 2 }
    end

    it "a drain ends a server that waits for room" do
      limit(proxy, 1)
      connect(proxy).write("die").read_all
      proxy.await(/ERROR cannot start a worker/)
      finish(proxy)
    end
  end
end
