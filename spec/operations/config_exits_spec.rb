# frozen_string_literal: true

# A config that calls `exit` while it is loaded: a message says so wherever the program needs the config.
RSpec.describe "A config that exits:" do
  reason = /config\.rb ends the program while it is loaded \(exit 3\)/

  def run(config, *arguments)
    ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments]).tap(&:wait)
  end

  { "-t" => %w[-t], "--route" => ["--route", __FILE__], "--workers" => %w[--workers 2] }.each do |name, arguments|
    it "#{name} fails and names the config" do
      ended = run("exit 3", *arguments)
      expect(ended.wait.exitstatus).to eq 1
      expect(ended.stderr).to match(/\Aproxymachine: \S*#{reason}\n\z/)
    end
  end

  it "a reload with workers keeps the former config" do
    proxy = ProxyProcess.new("proxy { :close }", args: %w[-h 127.0.0.1 -p 0 --workers 2])
    proxy.await(/Serving/)
    File.write(proxy.config_path, "exit 3")
    proxy.signal("HUP")
    proxy.await(/ERROR Cannot reload .*#{reason}\. What was loaded before goes on/)
  end

  it "a worker that alone exits is reported with its reason" do
    # The main process loads the config once before, in a process without that runner.
    ended = run("exit 4 if ProxyMachine.runner.class.name.include?('Worker')\nproxy { :close }", "--workers", "2")
    expect(ended.wait.exitstatus).to eq 1
    expect(ended.stderr).to match(/\Aproxymachine: a worker failed: the config ends the program .* \(exit 4\)\n\z/)
  end

  it "an upgrade keeps the former process" do
    proxy = ProxyProcess.start("proxy { { :close => 'served' } }")
    File.write(proxy.config_path, "exit 3")
    proxy.signal("USR2")
    proxy.await(/ERROR Cannot upgrade: .*#{reason}\. This process goes on/)
    expect(ask("x", proxy)).to eq "served"
  end

  it "a reload whose thread the config ends is reported" do
    proxy = ProxyProcess.start("proxy { { :close => 'served' } }")
    File.write(proxy.config_path, "Thread.exit")
    proxy.signal("HUP")
    proxy.await(/ERROR Cannot reload .*: it ends the thread that loads it\. What was loaded before goes on/)
    File.write(proxy.config_path, "proxy { { :close => 'new' } }")
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
    expect(ask("x", proxy)).to eq "new"
  end
end
