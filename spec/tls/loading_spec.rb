# frozen_string_literal: true

require "etc"

# When files are read, and what happens if one cannot be used.
RSpec.describe "Loading certificates:" do
  before do
    @dir = Dir.mktmpdir("proxymachine-tls")
    issue("first")
  end

  after { FileUtils.rm_rf(@dir) }

  let(:path) { File.join(@dir, "a.pem") }
  let(:config) { <<~RUBY }
    C = certificates "#{path}"
    proxy do |data, client|
      next { :tls => C } unless client.tls
      data == "wait" ? :noop : { :close => "said: \#{client.tls.sni}" }
    end
  RUBY
  let(:missing) do
    "certificates: cannot read #{path}: No such file or directory: check the path, and that the file is there"
  end

  def issue(name)
    CertificateAuthority.shared.issue("#{name}.example").write(path)
  end

  def shown(proxy) = OpensslClient.new(proxy.port).subject

  def reload(proxy, expected)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(expected)
  end

  it "a file that cannot be used fails -t and the start with one message" do
    File.delete(path)
    [["-t"], ["-h", "127.0.0.1", "-p", "0"], ["-h", "127.0.0.1", "-p", "0", "--workers", "2"]].each do |arguments|
      child = ProxyProcess.new(config, args: arguments)
      expect([child.wait.exitstatus, child.stdout, child.stderr]).to eq [1, "", "proxymachine: #{missing}\n"]
    end
  end

  [[], ["--workers", "2"]].each do |arguments|
    it "HUP reads the files again, and connected clients stay #{arguments.join(" ")}" do
      proxy = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
      proxy.instance_variable_set(:@port, proxy.await(/Listening on /)[/:(\d+)\.?\z/, 1].to_i)
      expect(shown(proxy)).to eq "first.example"
      connected = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", proxy.port)).tap(&:connect)
      connected.write("wait")
      issue("renewed")
      reload(proxy, /INFO Reloaded/)
      eventually { expect(shown(proxy)).to eq "renewed.example" }
      connected.write("ing")
      expect(connected.read).to eq "said: "
      connected.close
    end

    it "HUP keeps what runs if a file cannot be used #{arguments.join(" ")}" do
      proxy = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments])
      proxy.instance_variable_set(:@port, proxy.await(/Listening on /)[/:(\d+)\.?\z/, 1].to_i)
      File.delete(path)
      reload(proxy, /ERROR Cannot reload .*: #{Regexp.escape(missing)}\. What was loaded before goes on\.\z/)
      expect(shown(proxy)).to eq "first.example"
    end
  end

  it "files are read as root before --user takes effect; a reload reads them as that user" do
    skip "only root can switch users" unless Process.uid.zero?

    File.chmod(0o755, @dir)
    File.chmod(0o600, path)
    proxy = ProxyProcess.start(config, args: %w[-h 127.0.0.1 -p 0 --user nobody])
    # The config itself must be readable at the reload.
    File.chmod(0o755, File.dirname(proxy.config_path))
    File.chmod(0o644, proxy.config_path)
    expect(shown(proxy)).to eq "first.example"
    denied = "certificates: cannot read #{path}: Permission denied: files are read by the user who starts " \
             "ProxyMachine, and at a reload by that of --user"
    reload(proxy, /ERROR Cannot reload .*: #{Regexp.escape(denied)}\. What was loaded before goes on\.\z/)
    expect(shown(proxy)).to eq "first.example"
    File.chown(Etc.getpwnam("nobody").uid, nil, path)
    reload(proxy, /INFO Reloaded/)
    expect(shown(proxy)).to eq "first.example"
  end

  it "the verbs work in modules, methods, threads and blocks" do
    proxy = ProxyProcess.start(<<~RUBY)
      module Mine
        OWN = certificates "#{path}"
        def self.of(text) = certificates(:pem => text)
      end
      class Router
        def initialize = @trusted = authorities("#{CertificateAuthority.shared.write(File.join(@dir, "ca.pem"))}")
        def call(data, client)
          return { :close => "said: \#{@trusted.for("db.internal").name}\\n" } if client.tls
          { :tls => [Mine::OWN, Mine.of(File.read("#{path}")), Thread.new { certificates "#{path}" }.value].sample }
        end
      end
      ProxyMachine.set_router(Router.new)
    RUBY
    5.times { expect(OpensslClient.new(proxy.port).said).to eq "db.internal" }
    expect(proxy.errors).to be_empty
  end

  it "a verb that fails in a block closes that connection alone, with an ERROR line" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { |data| data == "ok" ? { :close => "fine" } : { :tls => certificates(:pem => data) } }
    RUBY
    expect(ask("no certificate", proxy)).to eq ""
    expect(proxy.errors).to match [/\AERROR .*ProxyMachine::ConfigError - certificates: :pem has no certificate: /]
    expect(ask("ok", proxy)).to eq "fine"
  end

  # `:pem` texts: the last 10,000 are kept, and a block may name one for each connection.
  it "10,000 texts are parsed once each, from any thread, and the least recently used one is dropped" do
    output = RubyScript.output(<<~RUBY)
      require "proxymachine"
      require "#{File.join(__dir__, "../support/certificate_authority")}"
      authority = CertificateAuthority.shared
      key = CertificateAuthority.key(:ecdsa)
      texts = Array.new(10_001) { |number| authority.issue("n\#{number}.example", key: key).pem }
      options = [[], "1.2", nil, false, false]
      parse = lambda do |text|
        certificates, is_new = ProxyMachine::Certificates.send(:parse, text, *options)
        [certificates.inspect[/n\\d+/], is_new]
      end
      news = Array.new(4) do |part|
        Thread.new { texts.first(10_000).each_slice(2_500).to_a[part].map(&parse) }
      end.flat_map(&:value)
      p news.map(&:first) == Array.new(10_000) { |number| "n\#{number}" }, news.map(&:last).uniq
      p texts.first(10_000).map { |text| parse[text].last }.uniq
      p parse[texts.last], parse[texts[1]], parse[texts[0]]
      p certificates(:pem => texts[5]).inspect
    RUBY
    expect(output.lines(chomp: true)).to match [
      "true", "[true]", "[false]", '["n10000", true]', '["n1", false]', '["n0", true]',
      /\A"#<.* n5\.example \(\d+ days left\)>"\z/
    ]
  end
end
