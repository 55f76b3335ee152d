# frozen_string_literal: true

# CONTRACT 7: a failure at start prints one message on stderr and exits with 2 for wrong usage, with 1 otherwise.
RSpec.describe "Start failure:" do
  usable = "proxy { |data| { :close => true } }"

  # Checks what all failures have in common and returns the message.
  def message_of(child, status)
    expect(child.wait.exitstatus).to eq status
    expect(child.stdout).not_to include "Listening"
    expect(child.stderr).to start_with "proxymachine: "
    expect(child.stderr).not_to match(/panicked|RUST_BACKTRACE|\bfrom \S+:\d+:in|:\d+:in `/)
    expect(child.stderr.lines.size).to be <= 3
    child.stderr
  end

  def failing_config(text, **options)
    message_of(ProxyProcess.new(text, **options), 1)
  end

  def failing_arguments(*args, status: 2)
    message_of(Child.new(*ProxyProcess.command, *args), status)
  end

  describe "exit status 2, wrong usage:" do
    it "no config" do
      expect(failing_arguments).to include "-c"
      expect(failing_arguments("-h", "127.0.0.1", "-p", "0")).to include "-c"
    end

    it "an unknown option, named in the message" do
      expect(failing_arguments("--verbose")).to include "--verbose"
      expect(failing_arguments("-x")).to include "-x"
    end

    it "an option without its argument, named in the message" do
      expect(failing_arguments("-c")).to include "-c"
      expect(failing_arguments("-c", "config.rb", "--port")).to include "--port"
    end

    ["http", "70000", "-1", "80x", "", "99999999999999999999"].each do |port|
      it "the port #{port.inspect}" do
        child = ProxyProcess.new(usable, args: ["-h", "127.0.0.1", "--port=#{port}"])
        expect(message_of(child, 2)).to include "port", port
      end
    end
  end

  it "the message is printed even if the config silences warnings" do
    expect(failing_config("$VERBOSE = nil\nraise 'oh'")).to include "oh"
  end

  describe "exit status 1, the config:" do
    it "a missing file" do
      expect(failing_arguments("-c", "/no/such/config.rb", "-p", "0", status: 1)).to include "/no/such/config.rb"
    end

    it "a directory" do
      Dir.mktmpdir { |dir| expect(failing_arguments("-c", dir, "-p", "0", status: 1)).to include dir }
    end

    it "an unreadable file" do
      skip "root may read everything" if Process.uid.zero?
      Dir.mktmpdir do |dir|
        path = File.join(dir, "secret.rb")
        File.write(path, usable)
        File.chmod(0, path)
        expect(failing_arguments("-c", path, "-p", "0", status: 1)).to include path
      end
    end

    it "a syntax error, with file and line" do
      expect(failing_config("x = 1\nproxy do |data|\n")).to match(/config\.rb:[23]: .*(syntax error|unexpected)/i)
    end

    it "an exception, with file, line, message and class" do
      expect(failing_config("x = 1\nraise ArgumentError, 'no routes'"))
        .to match(/config\.rb:2: no routes \(ArgumentError\)/)
    end

    it "an exception in a library, with the config's line" do
      expect(failing_config("x = 1\n\nInteger('many')")).to match(/config\.rb:3: .*many.*\(ArgumentError\)/)
    end

    it "a missing library" do
      expect(failing_config("require 'no/such/library'\n#{usable}"))
        .to match(%r{config\.rb:1: cannot load such file -- no/such/library \(LoadError\)})
    end

    it "an undefined name" do
      expect(failing_config("\nRoutes.load")).to match(/config\.rb:2: uninitialized constant Routes.*\(NameError\)/)
    end

    it "an endless recursion" do
      expect(failing_config("def again() again end\nagain")).to match(/config\.rb:1: .*\(SystemStackError\)/)
    end

    it "an exception that is not a StandardError" do
      expect(failing_config("raise Exception, 'oh'")).to match(/config\.rb:1: oh \(Exception\)/)
      expect(failing_config("\nraise SecurityError", args: ["-t"])).to match(/config\.rb:2: .*\(SecurityError\)/)
    end

    it "an invalid LOGGER" do
      expect(failing_config("LOGGER = nil\n#{usable}", env: { "RUBYOPT" => "-W0" })).to match(/LOGGER.*info/)
    end

    it "a LOGGER whose level cannot be set" do
      expect(failing_config("def LOGGER.level=(_) raise('oh') end\nlog_level :warn\n#{usable}")).to match(/LOGGER.*oh/)
    end

    it "an invalid user" do
      expect(failing_config("run_as 65534\n#{usable}")).to include "cannot run as 65534: "
    end

    it "a block that does not return" do
      child = ProxyProcess.new("def again() again end\nproxy { again }", args: ["--route", __FILE__])
      expect(message_of(child, 1)).to match(/config\.rb:\d: the proxy block raised SystemStackError/)
    end

    it "no proxy block" do
      expect(failing_config("ROUTES = {}")).to match(/config\.rb.*proxy/)
    end

    it "an empty file" do
      expect(failing_config("")).to match(/config\.rb.*proxy/)
    end
  end

  it "a config that calls exit sets the exit status, without a message" do
    child = ProxyProcess.new("puts 'not today'\nexit 5")
    expect(child.wait.exitstatus).to eq 5
    expect(child.stdout).to eq "not today\n"
    expect(child.stderr).to eq ""
  end

  describe "exit status 1, the address:" do
    it "a port in use, named in the message" do
      taken = Backends.silent
      expect(failing_config(usable, args: ["-h", "127.0.0.1", "-p", taken.port.to_s])).to include taken.address
    end

    it "an address of another machine" do
      expect(failing_config(usable, args: ["-h", "192.0.2.1", "-p", "0"])).to include "192.0.2.1"
    end

    it "an invalid host" do
      expect(failing_config(usable, args: ["-h", "no such host", "-p", "0"])).to include "no such host"
    end
  end

  it "a missing extension exits with 1 and a hint to build it; --help and --version work" do
    skip "is about a checkout" if ENV["PROXYMACHINE_BIN"]
    Dir.mktmpdir do |dir|
      %w[lib exe].each { |folder| FileUtils.cp_r(File.join(ProxyProcess::ROOT, folder), dir) }
      Dir[File.join(dir, "lib", "**", "*.so")].each { |file| File.unlink(file) }
      File.write(File.join(dir, "config.rb"), usable)
      executable = [RbConfig.ruby, "-I", File.join(dir, "lib"), File.join(dir, "exe", "proxymachine")]
      child = Child.new(*executable, "-c", File.join(dir, "config.rb"), "-h", "127.0.0.1", "-p", "0")
      expect(message_of(child, 1)).to match(/extension.*rake compile/m)
      %w[--help --version].each { |option| expect(Child.new(*executable, option).wait).to be_success }
    end
  end
end
