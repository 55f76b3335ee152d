# frozen_string_literal: true

# Sessions that a real `openssl s_client` resumes by ticket.
RSpec.describe "TLS sessions:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    CertificateAuthority.shared.issue("a.example").write(file("a.pem"))
    CertificateAuthority.shared.write(file("ca.pem"))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  # The new process of an upgrade is not a child of this one.
  after do
    pid = File.exist?(file("pid")) ? File.read(file("pid")).to_i : 0
    Process.kill(:TERM, pid) if pid.positive? && pid != proxy.pid
  rescue SystemCallError
    nil
  end

  let(:versions) { %w[-tls1_2 -tls1_3] }

  def file(name) = File.join(@dir, name)

  def config(options = "")
    <<~RUBY
      CERTIFICATES = certificates "#{@dir}/a.pem"#{options}
      proxy do |_, client|
        client.tls ? { :close => "said: \#{Process.pid} \#{client.tls.resumed?}\\n" } : { :tls => CERTIFICATES }
      end
    RUBY
  end

  def start(*arguments)
    started = ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", "--pidfile", file("pid"), *arguments])
    @port = started.await(/Listening on /)[/:(\d+)\.?\z/, 1].to_i
    started.tap { started.instance_variable_set(:@port, @port) }
  end

  # Makes a full handshake, and keeps the session in a file.
  def begin_session(version)
    client = OpensslClient.new(@port, version, "-sess_out", file("#{version}.session"), name: "a.example")
    expect(client.resumed?).to be(false)
    expect(client.said).to end_with "false"
  end

  # Tries to resume the session. Returns whether it did, and the process that answered.
  def resume(version)
    client = OpensslClient.new(@port, version, "-sess_in", file("#{version}.session"), name: "a.example")
    pid, is_resumed = client.said.split
    expect(is_resumed).to eq client.resumed?.to_s
    [client.resumed?, pid.to_i]
  end

  def reload(new_config)
    File.write(proxy.config_path, new_config)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
  end

  def upgrade
    proxy.signal("USR2")
    proxy.await(/INFO Upgraded: process \d+ has taken over/)[/\d+/].to_i
  end

  describe "with one process" do
    let(:proxy) { start }

    it "resume on another thread, after a reload, also with a renewed certificate, and after an upgrade" do
      proxy
      versions.each do |version|
        begin_session(version)
        expect(Array.new(4) { resume(version).first }).to all be(true)
      end
      CertificateAuthority.shared.issue("a.example").write(file("a.pem"))
      reload(config)
      versions.each { |version| expect(resume(version).first).to be(true) }
      pid = upgrade
      versions.each { |version| eventually { expect(resume(version)).to eq [true, pid] } }
    end

    it "do not resume once clients must show a certificate" do
      proxy
      versions.each { |version| begin_session(version) }
      reload(config(", :client => authorities('#{file("ca.pem")}'), :client_optional => true"))
      versions.each { |version| expect(resume(version).first).to be(false) }
    end

    it "do not resume with another program, which has its own secret" do
      proxy
      versions.each { |version| begin_session(version) }
      @port = ProxyProcess.start(config).port
      versions.each { |version| expect(resume(version).first).to be(false) }
    end
  end

  describe "with workers" do
    let(:proxy) { start("--workers", "2") }

    it "resume with another worker, with those of a reload, and after an upgrade" do
      proxy
      versions.each { |version| begin_session(version) }
      by_all_workers
      reload(config)
      by_all_workers
      upgrade
      expect(versions.map { |version| resume(version).first }).to all be(true)
    end

    # Resumes until each worker has answered.
    def by_all_workers
      versions.each do |version|
        answered = []
        eventually do
          is_resumed, pid = resume(version)
          expect(is_resumed).to be(true)
          (answered |= [pid]).size == 2
        end
      end
    end
  end
end
