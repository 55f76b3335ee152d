# frozen_string_literal: true

# `tls_key_log`: the keys of connections, for Wireshark.
RSpec.describe "TLS key log:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    CertificateAuthority.shared.issue("a.example").write(File.join(@dir, "a.pem"))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  let(:config) { "C = certificates '#{@dir}/a.pem'\nproxy { |_, client| client.tls ? :close : { :tls => C } }" }
  let(:path) { File.join(Dir.mktmpdir("proxymachine-spec"), "keys") }

  after { FileUtils.rm_rf(File.dirname(path)) }

  def start(**options)
    ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--tls-key-log", path], **options)
  end

  # The lines that OpenSSL writes for the same connection.
  def connect_with_keylog(port, version)
    ours = "#{path}.client"
    OpensslClient.new(port, version, "-keylogfile", ours)
    File.readlines(ours).grep_v(/\A#/).sort
  ensure
    FileUtils.rm_f(ours)
  end

  %w[-tls1_2 -tls1_3].each do |version|
    it "has the lines that openssl writes for the same connection (#{version})" do
      proxy = start
      theirs = connect_with_keylog(proxy.port, version)
      expect(theirs).not_to be_empty
      expect(theirs - eventually { File.readlines(path).then { |all| all if all.size >= theirs.size } }).to be_empty
      expect(File.stat(path).mode & 0o777).to eq 0o600
    end
  end

  it "is a WARN line at the start and a line of -t" do
    warning = "tls_key_log appends the keys of TLS connections to #{path}: its readers can decrypt them."
    expect(start.settle.lines.grep(/WARN/)).to eq ["WARN #{warning}"]
    check = ProxyProcess.new(config, args: ["-t", "--tls-key-log", path])
    expect(check.wait).to be_success
    expect(check.stdout).to include "warning: #{warning}"
  end

  it "is written to a new file after USR1" do
    proxy = start
    connect_with_keylog(proxy.port, "-tls1_3")
    File.rename(path, "#{path}.1")
    proxy.signal("USR1")
    proxy.await(/Reopened the log files/)
    expect(File.read(path)).to be_empty
    theirs = connect_with_keylog(proxy.port, "-tls1_3")
    eventually { expect(theirs - File.readlines(path)).to be_empty }
  end

  it "begins and ends with a reload" do
    proxy = ProxyProcess.start(config)
    settings = ["tls_key_log #{path.inspect}\n", ""]
    sizes = settings.map do |setting|
      File.write(proxy.config_path, setting + config)
      proxy.mark_log
      proxy.signal("HUP")
      proxy.await(/Reloaded/)
      OpensslClient.new(proxy.port)
      proxy.settle
      File.size(path)
    end
    expect(sizes).to match [be > 0, sizes.first]
  end

  it "is not written because of the environment alone" do
    proxy = ProxyProcess.start(config, env: { "SSLKEYLOGFILE" => path })
    OpensslClient.new(proxy.port)
    expect(proxy.settle.lines.grep(/WARN/)).to be_empty
    expect(File.exist?(path)).to be(false)
  end

  it "prevents a start if the file cannot be written, and names it" do
    { "/none/keys" => "No such file or directory", @dir => "Is a directory", "/dev/null" => "it is no regular file" }
      .each do |file, reason|
        child = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", "--tls-key-log", file])
        expect(child.wait.exitstatus).to eq 1
        expect(child.stderr).to eq "proxymachine: cannot write the TLS key log #{file}: #{reason}\n"
      end
  end
end
