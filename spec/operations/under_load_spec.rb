# frozen_string_literal: true

# Reloads and upgrades while thousands of connections arrive per second, on TCP and Unix sockets: each of them gets its
# answer. The connections are counted, so that a busy machine only takes longer. `rake soak` measures the rate.
RSpec.describe "Reload and upgrade under load:", :slow do
  let(:dir) { Dir.mktmpdir("proxymachine-spec") }
  let(:program) { InstalledProgram.new(dir) }
  let(:pidfile) { File.join(dir, "pid") }
  let(:socket) { File.join(dir, "socket") }
  let(:arguments) { ["--pidfile", pidfile] }
  let(:proxy) do
    ProxyProcess.new(config("first"), args: arguments, program: program.command, chdir: dir)
  end
  # Two TCP addresses and a Unix socket.
  let(:addresses) { Array.new(2) { "127.0.0.1:#{free_port}" } << "unix:#{socket}" }

  before { skip "is about a checkout" if ENV["PROXYMACHINE_BIN"] }

  after do
    Process.kill(:KILL, pid)
  rescue SystemCallError
    nil
  ensure
    FileUtils.rm_rf(dir)
  end

  # A config that answers with its name and the version. The log has only warnings and errors.
  def config(name, more = "")
    listeners = addresses.map { |address| "listen #{address.inspect}\n" }.join
    "#{listeners}#{more}log_level :warn\nLOGGER.formatter = ->(*, text) { \"\#{text}\\n\" }\n" \
      "proxy { { :close => \"#{name} \#{ProxyMachine::VERSION}\" } }\n"
  end

  def served
    eventually { File.exist?(pidfile) && File.exist?(socket) }
    addresses
  end

  # The id of the serving process.
  def pid
    Integer(File.read(pidfile), 10) # 0 would be this process's own group
  end

  def answer
    UNIXSocket.open(socket) { |visit| visit.write("x") && visit.read }
  end

  def becomes(expected)
    eventually { expect(answer).to eq expected }
  end

  def reload(name, more = "")
    File.write(proxy.config_path, config(name, more))
    Process.kill(:HUP, pid)
    becomes("#{name} #{version}")
  end

  def fail_to_change
    good = File.read(proxy.config_path)
    File.write(proxy.config_path, "raise 'not today'")
    { "HUP" => "Cannot reload", "USR2" => "Cannot upgrade" }.each do |signal, line|
      proxy.signal(signal)
      eventually { proxy.log.include?(line) }
    end
    File.write(proxy.config_path, good)
  end

  # The extension that a process has mapped.
  def binary(pid)
    File.read("/proc/#{pid}/maps")[%r{/\S+/proxymachine\.so}]
  end

  attr_reader :version

  def upgrade(name)
    before = pid
    Process.kill(:USR2, before)
    eventually { pid != before }
    becomes("#{name} #{version}")
    pid
  end

  def storm
    storms = Array.new(2) { ConnectionStorm.new(*served) }
    storms.each { |storm| storm.await(500) }
    yield storms
    storms.map(&:finish).reduce { |one, other| one.merge(other) { |_, a, b| a + b } }
  end

  [1, 2].each do |workers|
    describe "with #{workers} serving process#{"es" if workers > 1}," do
      let(:arguments) { ["--pidfile", pidfile, "--workers", workers.to_s] }

      it "no connection is refused or lost, also by an upgrade to another binary" do
        proxy
        @version = "2.0.0"
        answers = storm do |storms|
          # More listeners, fewer listeners, other limits.
          reload("second", "listen 'unix:@#{SecureRandom.hex}'\n")
          reload("third", "max_connections 5000\nidle_timeout 30\n")
          fail_to_change
          storms.each { |storm| storm.await(500) }
          upgrade("third")
          program.update(@version = "2.0.1")
          upgraded = upgrade("third")
          storms.each { |storm| storm.await(500) }
          running = workers > 1 ? File.read("/proc/#{upgraded}/task/#{upgraded}/children").split.first : upgraded
          expect(binary(running)).to eq File.join(dir, "2.0.1/lib/proxymachine/proxymachine.so")
          reload("fourth")
          storms.each { |storm| storm.await(500) }
        end
        expect(answers.keys - ["first 2.0.0", "second 2.0.0", "third 2.0.0", "third 2.0.1", "fourth 2.0.1"]).to eq []
        expect(answers.keys).to include("first 2.0.0", "third 2.0.0", "third 2.0.1", "fourth 2.0.1")
        expect(answers.values.sum).to be > 4_000
      end
    end
  end
end
